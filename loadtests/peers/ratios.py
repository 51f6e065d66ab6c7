"""Checks that all contenders found the same, and compares their costs. Pure functions over measurements."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

LEAST_OVERLAP: Final = 0.95  # of the returned ids; with less the contenders did not do the same work
Measured = Mapping[str, Mapping[str, Mapping[str, float]]]  # {scenario: {contender: {measure: value}}}


class OtherWork(Exception):
    """A peer returns other passages than Teal, so their speeds cannot be compared."""


def overlap(expected: Sequence[Sequence[str]], found: Sequence[Sequence[str]]) -> float:
    """Mean share of the expected ids that were found, over all queries, in [0, 1]."""
    if len(expected) != len(found) or not expected:
        raise ValueError(f"{len(expected)} queries were expected and {len(found)} answered")
    return statistics.fmean(
        len(set(one) & set(other)) / len(one) if one else float(not other) for one, other in zip(expected, found, strict=True)
    )


def demand_same_work(overlaps: Mapping[str, float]) -> None:
    """Raises `OtherWork` naming every contender below `LEAST_OVERLAP`."""
    if other := {name: round(share, 3) for name, share in overlaps.items() if share < LEAST_OVERLAP}:
        raise OtherWork(f"these share too few ids with Teal (at least {LEAST_OVERLAP}): {other}")


@dataclass(frozen=True, slots=True)
class Spread:
    minimum: float
    median: float
    maximum: float

    def __str__(self) -> str:
        return f"{_short(self.median)} ({_short(self.minimum)}-{_short(self.maximum)})"


def _short(value: float) -> str:
    return f"{value:.2f}" if value < 10 else f"{value:.1f}" if value < 1000 else f"{value:,.0f}"


def spread_of(values: Sequence[float]) -> Spread:
    return Spread(min(values), statistics.median(values), max(values))


def ratio(repetitions: Sequence[Measured], scenario: str, measure: str, peer: str, ours: str) -> Spread:
    """The peer's cost divided by Teal's, within each repetition; above 1 Teal's costs less."""
    return spread_of([one[scenario][peer][measure] / one[scenario][ours][measure] for one in repetitions])


@dataclass(frozen=True, slots=True)
class Aim:
    """The aim by how many times Teal should cost less than `peer`, by the median."""

    scenario: str
    measure: str
    peer: str
    least: float

    def verdict(self, found: Spread) -> str:
        return "reached" if found.median >= self.least else "missed"
