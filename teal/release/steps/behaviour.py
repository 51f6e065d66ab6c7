"""The step that runs the behaviour probes (teal/release/probes/) on the new color,
before it has users and again while it has some."""

from __future__ import annotations

import secrets
import string
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import replace
from functools import partial
from typing import Final

from teal.client.probe import ProbeFailed, read_golden_questions
from teal.errors import OperatorError
from teal.events import Event
from teal.record.model import Color
from teal.record.releases import PlannedStep
from teal.release.context import ReleaseRun
from teal.release.probes.registry import PROBES
from teal.release.probes.visit import COLLECTION, Probe, ProbeVisit, WrongBehaviour, answered
from teal.release.steps.step import Step

TRIES: Final = 2  # for a probe that got no answer
WAIT_SECONDS: Final = 0.2  # between two checks of an uploaded document: a small text is indexed faster
MARK_LETTERS: Final = 12  # only letters, so that every text analysis keeps it one word


def check_behaviour(run: ReleaseRun, step: PlannedStep) -> Iterator[Event]:
    """Run every probe with every golden question.
    On a color that already has users, only the probes that may depend on its share, with one question in turn.

    A fault that the active color has too is only a warning, unless the probe's `always` is set. Raises WrongBehaviour."""
    questions, probes = _questions(run), PROBES
    if step.percent is not None:
        probes = tuple(probe for probe in PROBES if probe.again)
        questions = questions[run.visits % len(questions) :][:1] if questions else ()
        run.visits += 1
    for probe, said in probe_results(run, probes, run.new, questions):
        if said and not probe.always and run.old is not None and _wrong(run, probe, run.old, questions):
            yield Event(step.name, "warn", f"{probe.name}: {said}, as {run.old} does too")
        elif said:
            raise WrongBehaviour(f"{probe.name}: {said}")
    yield Event(step.name, "progress", f"{len(probes)} behaviour probes passed")


def probe_results(
    run: ReleaseRun, probes: Iterable[Probe], color: Color, questions: tuple[str, ...] | None = None
) -> Iterator[tuple[Probe, str]]:
    """Each probe with what is wrong with the color's behaviour; empty when nothing is. Uses `questions`, or all golden questions.
    A probe without an answer is repeated once, because a busy machine is no bad version. The lease is renewed meanwhile."""
    asking = _questions(run) if questions is None else questions
    with run.prober(color) as writer, run.tenant(color, COLLECTION) as bound:
        visit = ProbeVisit(writer, bound, asking, "", lambda: False, run.bound_key or "", *_inside(run, color))
        for probe in probes:
            yield probe, run.lease.during(partial(_said, run, probe, visit))


def _inside(run: ReleaseRun, color: Color) -> tuple[Callable[[], Mapping[str, float]], Callable[[str], bool]] | tuple[None, None]:
    inside = run.target.inside
    return (None, None) if inside is None else (partial(inside.held, color), partial(inside.logged, color))


def _wrong(run: ReleaseRun, probe: Probe, color: Color, questions: tuple[str, ...]) -> str:
    return next(said for _, said in probe_results(run, (probe,), color, questions))


def _said(run: ReleaseRun, probe: Probe, visit: ProbeVisit) -> str:
    said = ""
    for _ in range(TRIES):
        try:
            probe.ask(replace(visit, mark=_mark(), wait=_waiting(run)))
        except ProbeFailed as error:
            said = error.what
        except WrongBehaviour as error:
            return error.what
        else:
            return ""
    return said


def _questions(run: ReleaseRun) -> tuple[str, ...]:
    return tuple(one.question for one in read_golden_questions(run.target.golden))


def _mark() -> str:
    return "".join(secrets.choice(string.ascii_lowercase) for _ in range(MARK_LETTERS))


def _waiting(run: ReleaseRun) -> Callable[[], bool]:
    deadline = run.target.clock.monotonic() + run.target.rules.ingest_seconds

    def wait() -> bool:
        run.target.clock.sleep(WAIT_SECONDS)
        return run.target.clock.monotonic() < deadline

    return wait


def undo_behave(run: ReleaseRun) -> Iterator[Event]:
    """Delete the probes' documents that a killed releaser left. A failure is ignored, so that it does not block the undo."""
    with suppress(OperatorError), run.prober(run.old or run.new) as prober:
        for one in answered(prober, "GET", f"/v1/documents?collection={COLLECTION}")["items"]:
            prober.call("DELETE", f"/v1/documents/{one['id']}")
    yield from ()


BEHAVE: Final = Step(
    "behave",
    "ask {target} as users do: keys keep to their collections, uploads are found and cited, streams whole, citations true, the page loads",
    check_behaviour,
    takes_back="the probes' documents are deleted",
    undo=undo_behave,
)
