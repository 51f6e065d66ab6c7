"""The steps that test the new color before users reach it: they warm its caches, ask the golden questions, check that the colors'
caches are separate, and send a document through its worker."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from typing import Final

from teal.client import probe
from teal.errors import OperatorError
from teal.events import Event
from teal.record.model import Color
from teal.record.releases import PlannedStep
from teal.release.context import ReleaseRun
from teal.release.steps.step import Step


def warm(run: ReleaseRun, step: PlannedStep) -> Iterator[Event]:
    asked = probe.read_golden_questions(run.target.golden)
    with run.prober(run.new) as prober:
        answered = prober.warm(asked)
    run.lease.keep()
    yield Event(step.name, "progress", "questions asked", done=answered, total=len(asked))


def golden(run: ReleaseRun, step: PlannedStep) -> Iterator[Event]:
    """Ask the golden questions. The new color fails only at a question that the active color passes, because the corpus is the
    users' and may not answer every question."""
    clock, wrong, counted = run.target.clock, [], 0
    for question in probe.read_golden_questions(run.target.golden):
        with run.prober(run.new) as prober:
            passed, why = prober.passes(question)
        if not passed and run.old is not None:
            with run.prober(run.old) as prober:
                if prober.passes(question)[0]:
                    wrong.append(why)
        counted += passed
        run.lease.keep()
    if wrong:
        raise OperatorError(
            f"{len(wrong)} golden questions that {run.old} answers: {'; '.join(wrong[:3])}", where=run.new, next="teal history"
        )
    yield Event(step.name, "progress", f"{counted} golden questions answered as expected")
    if run.old is not None:
        _caches_apart(run, run.old, run.new)
        yield Event(step.name, "progress", "neither color answers from the other's cache")
    deadline = clock.monotonic() + run.target.rules.ingest_seconds

    def wait() -> bool:
        run.wait()
        return clock.monotonic() < deadline

    with run.prober(run.new) as prober:
        prober.ingest(run.plan.id, wait)
    yield Event(step.name, "progress", "a probe document was indexed by the new worker")


def _caches_apart(run: ReleaseRun, old: Color, new: Color) -> None:
    """Send a new random search to each color; neither may then have the other's answer in a cache.

    A color puts its answer into the shared cache some milliseconds after it has sent it (app/answering/cache.py), so the other one
    is asked after a poll: asked at once, it would find nothing, whatever the keys are.
    """
    queries = {color: f"cache probe {secrets.token_hex(8)}" for color in (old, new)}
    for color in (old, new):
        _not_from_cache(run, color, color, queries[color])
    run.wait()
    _not_from_cache(run, new, old, queries[old])
    _not_from_cache(run, old, new, queries[new])
    run.lease.keep()


def _not_from_cache(run: ReleaseRun, color: Color, of: Color, query: str) -> None:
    with run.prober(color) as prober:
        if prober.from_cache(query):
            raise OperatorError(f"{color} answers from the cache of {of}", where=run.new, next="teal history")


def undo_golden(run: ReleaseRun) -> Iterator[Event]:
    """Delete the probe document that a killed releaser left. A failure is ignored, so that it does not block the undo."""
    try:
        with run.prober(run.old or run.new) as prober:
            prober.forget(run.plan.id)
    except probe.ProbeFailed as error:
        yield Event("golden", "warn", f"a probe document may be left: {error.what}")


WARM: Final = Step(
    "warm",
    "ask {target} the usual questions, so that its caches are not empty",
    warm,
    takes_back="its cache keys carry its release",
)
GOLDEN: Final = Step(
    "golden",
    "golden questions, caches apart, and a probe document through {target}",
    golden,
    takes_back="the probe document is deleted",
    undo=undo_golden,
)
