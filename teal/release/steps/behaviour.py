"""The step that asks the new color how it behaves, before any user meets it and again while some do: teal/release/probes/."""

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

TRIES: Final = 2  # of a probe that was not answered
WAIT_SECONDS: Final = 0.2  # between two looks at an uploaded document: a small text is indexed in less
MARK_LETTERS: Final = 12  # letters alone, so that every analyser keeps it one word


def check_behaviour(run: ReleaseRun, step: PlannedStep) -> Iterator[Event]:
    """Every probe with every golden question; of a color that has users already, what can change with its share, with one question by turns.

    What the active color does wrong too is not the new version's doing, but for what nobody may do. Raises WrongBehaviour."""
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
    """Each probe with what is wrong with how the color behaves: empty when nothing is. With all golden questions, or with these. A color
    that did not answer is asked once more: a busy machine is no bad version. The lease is kept meanwhile."""
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
    """A releaser that was killed left its document; a release is not kept from its undoing by that."""
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
