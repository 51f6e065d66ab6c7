"""The steps that compare the new color with the active one while both serve users, and watch it for the rollback window."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from teal.events import Event
from teal.ports.traffic import weights_after_shift
from teal.record.releases import PlannedStep
from teal.release import canary
from teal.release.context import ReleaseRun
from teal.release.steps.step import Step
from teal.release.steps.traffic import give_back


def analyse(run: ReleaseRun, step: PlannedStep) -> Iterator[Event]:
    weights = weights_after_shift(run.new, step.percent or 0)
    if run.target.traffic.read() != weights:  # an earlier releaser died between setting the shares and comparing
        run.set_shares(weights)
    yield from canary.compare_with_active(run, step)


def pause(run: ReleaseRun, step: PlannedStep) -> Iterator[Event]:
    said = f"paused at {step.percent} % as you asked"
    yield from canary.wait_for_person(run, step, said, about=f"the pause at {step.percent} %")


ANALYSE: Final = Step(
    "analyse",
    "{rules.analysis_seconds:.0f} s of {percent} %: {target} against {active}, {rules.minimum_samples} samples of each gate",
    analyse,
    takes_back="{back}",
    undo=give_back,
)
HOLD: Final = Step(
    "hold",
    "keep {active} ready for {rules.hold_seconds:.0f} s and go on comparing",
    canary.hold,
    takes_back="{back}",
    undo=give_back,
)
PAUSE: Final = Step(
    "pause",
    "stay at {percent} % until `teal resume` or `teal abort`, {rules.paused_seconds:.0f} s at most",
    pause,
    takes_back="{back}",
    undo=give_back,
)
