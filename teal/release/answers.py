"""Compares what two colors answer to the same recorded queries of users, and judges the difference. Pure functions on plain data.

Each query is sent to the active color, to the new one, and to the active one again. What the active color's two answers differ by
(a language model, a document that was indexed meanwhile) is no fault of the new one, so it is the reference.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from statistics import fmean, median, quantiles
from typing import Any, Final

from teal.release.sequential import SequentialTest, WindowCounts, advance, begin_series, log_evidence

DEPTH: Final = 10  # hits compared: the default of /v1/search, and about what people look at
# At most this mean agreement makes two lists different. A list read backwards agrees to 0.35 or less from eight hits on, a list
# whose first two hits are exchanged to 0.9.
DIFFERENT: Final = 0.5
# The probability that a replay stops a release that answers as the active color does: once in a thousand releases, beside the one
# in a hundred of the gates.
BUDGET: Final = 0.001


@dataclass(frozen=True, slots=True)
class Answer:
    """What one color answered: the hits of a search or the citations of an answer, best first, whether the question was answered
    (None: it was a search), how long it took, and whether it failed."""

    hits: tuple[str, ...] = ()
    answered: bool | None = None
    seconds: float = 0.0
    failed: bool = False


@dataclass(frozen=True, slots=True)
class Replayed:
    """The answers to one query."""

    active: Answer
    new: Answer
    again: Answer


@dataclass(frozen=True, slots=True)
class Measure:
    """A row of the comparison: both colors' values as text, and for a judged row its p and whether the new color is worse."""

    what: str
    new: str
    active: str
    p: float | None = None
    worse: bool = False


@dataclass(frozen=True, slots=True)
class _Judged:
    """A share of bad outcomes. `new` and `active` are the outcomes of one query; an empty list leaves the query out."""

    what: str
    margin: float  # a smaller difference of the shares stops no release
    new: Callable[[Replayed], list[bool]]
    active: Callable[[Replayed], list[bool]]


def agreement(one: Sequence[str], other: Sequence[str]) -> float:
    """How far two rankings agree, from 0 to 1: the mean, over each depth, of the share of common hits among the first so many.
    Unlike the overlap alone it sees that the same hits stand in another order."""
    depth = min(DEPTH, max(len(one), len(other)))
    return fmean(len({*one[:first]} & {*other[:first]}) / first for first in range(1, depth + 1)) if depth else 1.0


def overlap(one: Sequence[str], other: Sequence[str]) -> float:
    """The share of common hits among the first ten, whatever their order."""
    depth = min(DEPTH, max(len(one), len(other)))
    return len({*one[:depth]} & {*other[:depth]}) / depth if depth else 1.0


def _unlike(one: Answer, other: Answer) -> list[bool]:
    return [] if one.failed or other.failed else [agreement(one.hits, other.hits) <= DIFFERENT]


def _each(holds: Callable[[Answer], bool | None], *answers: Answer) -> list[bool]:
    return [found for one in answers if (found := holds(one)) is not None]


def _empty(one: Answer) -> bool | None:
    return None if one.failed or one.answered is not None else not one.hits


def _unanswered(one: Answer) -> bool | None:
    return None if one.failed or one.answered is None else not one.answered


# Margins: a release must be able to rank a tenth of all queries anew, which a small correction of the ranking does. The others
# are those of the gates of the same kind (teal/metrics/gates.py).
JUDGED: Final = (
    _Judged("other hits", 0.1, lambda one: _unlike(one.active, one.new), lambda one: _unlike(one.active, one.again)),
    _Judged("empty searches", 0.02, lambda one: _each(_empty, one.new), lambda one: _each(_empty, one.active, one.again)),
    _Judged("not answered", 0.05, lambda one: _each(_unanswered, one.new), lambda one: _each(_unanswered, one.active, one.again)),
    _Judged("failed", 0.005, lambda one: [one.new.failed], lambda one: [one.active.failed, one.again.failed]),
)


def compare(replayed: Sequence[Replayed]) -> tuple[Measure, ...]:
    """The rows of the comparison: first the judged shares, then overlap and latency, which are only shown."""
    return (*(_judge(one, replayed) for one in JUDGED), *_shown(replayed))


def worse(measures: Iterable[Measure]) -> str:
    """What the new color does worse, as a sentence; empty when it does nothing worse."""
    return "; ".join(
        f"{one.what}: {one.new}, {one.active} by the active color itself (p {one.p:.2g})" for one in measures if one.worse
    )


def _judge(judged: _Judged, replayed: Sequence[Replayed]) -> Measure:
    test, sums = begin_series(SequentialTest(planned=1)), [0, 0, 0, 0]
    for one in replayed:
        new, active = judged.new(one), judged.active(one)
        counts = (sum(new), len(new), sum(active), len(active))
        test, sums = advance(test, WindowCounts(*counts)), [before + more for before, more in zip(sums, counts, strict=True)]
    bad, total, active_bad, active_total = sums
    evidence = log_evidence(test)
    difference = bad / max(1, total) - active_bad / max(1, active_total)
    return Measure(
        judged.what,
        f"{bad} of {total}",
        f"{active_bad} of {active_total}",
        math.exp(-max(0.0, evidence)),
        evidence >= -math.log(BUDGET / len(JUDGED)) and difference > judged.margin,
    )


def _shown(replayed: Sequence[Replayed]) -> Iterable[Measure]:
    good = [one for one in replayed if not (one.active.failed or one.new.failed or one.again.failed)]
    if not good:
        return
    overlaps = [(overlap(one.active.hits, one.new.hits), overlap(one.active.hits, one.again.hits)) for one in good]
    between, within = (f"{fmean(each):.0%}" for each in zip(*overlaps, strict=True))
    yield Measure(f"overlap of the first {DEPTH} hits, mean", between, within)
    new = [one.new.seconds for one in good]
    active = [one.seconds for each in good for one in (each.active, each.again)]
    yield Measure("median latency", _milliseconds(median(new)), _milliseconds(median(active)))
    yield Measure("95th percentile of latency", _milliseconds(_p95(new)), _milliseconds(_p95(active)))


def _p95(seconds: Sequence[float]) -> float:
    return quantiles(seconds, n=20, method="inclusive")[-1] if len(seconds) > 1 else seconds[0]


def _milliseconds(seconds: float) -> str:
    return f"{seconds * 1000:.0f} ms"


def read_answer(status: int, body: Any, seconds: float) -> Answer:
    """The answer in a response of /v1/search or /v1/ask. Other fields are ignored, because the two colors may differ in them."""
    if status != 200 or not isinstance(body, dict):
        return Answer(seconds=seconds, failed=True)
    hits = body.get("hits") if "grounded" not in body else body.get("citations")
    found = tuple(f"{hit.get('document_id')} {hit.get('passage')}" for hit in hits or ())
    return Answer(found, bool(body["grounded"]) if "grounded" in body else None, seconds)
