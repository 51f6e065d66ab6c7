"""The step that sends load to the new color before it meets a user, and fails the release where a threshold is breached."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Final

from teal.events import Event
from teal.load import run as runs
from teal.load.place import LoadTarget
from teal.record.releases import PlannedStep
from teal.release.context import ReleaseRun
from teal.release.steps.step import Step

FOLDER: Final = Path("artifacts/load")


def load(run: ReleaseRun, step: PlannedStep) -> Iterator[Event]:
    """Golden questions through the load balancer, with the new color's header. Raises ThresholdBreached; NeedsHuman for too few samples, which are no pass."""
    runs.require_installed()
    entry = run.target.traffic.entry(run.new)
    key = run.target.probe_headers["Authorization"].removeprefix("Bearer ")
    place = LoadTarget(
        entry.url,
        (key,),
        Path(entry.ca) if entry.ca else None,
        {"where": run.target.name, "color": run.new},
        headers=entry.headers,
    )
    test = runs.LoadTest(step.shape or "smoke", FOLDER / run.plan.id, ("--questions", str(run.target.golden)))
    for event in runs.run_load_test(place, test):
        run.lease.keep()
        yield Event(step.name, "progress", event.detail, event.done, event.total)


LOAD: Final = Step(
    "load",
    "load {shape} on {target} by its own way in, judged by loadtests/thresholds.yaml",
    load,  # simulated uploaders delete what they send
)
