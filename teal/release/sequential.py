"""A sequential test: is the new color's share of bad requests larger than the active one's? It is valid at any
number of looks.

A release looks at its gates every few seconds and stops at the first failure. A test for one look, such as Fisher's, then raises false
alarms far more often than its level says. This one bets: before each window of requests a bet is made on "the new color is worse by so
much", the window pays the bet out, and if the new color is *not* worse nobody can expect to win. The chance that the capital *ever*
reaches 1/level is therefore at most `level` (Ville's inequality), so that anybody may look at any time and stop when convinced.

Source of the bet: Turner, Ly and Grünwald (2024), "Generic E-variables for exact sequential k-sample tests that allow for optional
stopping", Journal of Statistical Planning and Inference 230, doi:10.1016/j.jspi.2023.106116 (arXiv:2106.02693), equation for a block of
n_a and n_b Bernoulli outcomes. It is exact for the one-sided null "not worse" as well: the payout falls when the new color's true share
falls below the active one's.

Pure functions on plain numbers. `python -m teal.release.simulate` runs the same functions on arrays of ten thousand releases.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import reduce
from typing import Any, Final

# The worsenings that are bet on: each is the part of the good requests that turns bad. The stake is spread evenly over them. They
# range from the strictest gate's margin (0.2 %) to a version that answers almost nothing, in factors of about three.
WORSENINGS: Final = (0.003, 0.01, 0.03, 0.1, 0.3, 0.8)
# Prior belief about the active color before its first window: 1 % bad, with the weight of a hundred requests.
PRIOR_BAD, PRIOR_TOTAL = (1.0, 100.0)

Number = Any  # a float, or an array of floats with one entry for each simulated release


@dataclass(frozen=True, slots=True)
class Numerics:
    """The two functions that differ between plain floats and arrays."""

    log: Callable[[Number], Number] = math.log
    maximum: Callable[[Number, Number], Number] = max


FLOATS: Final = Numerics()


@dataclass(frozen=True, slots=True)
class WindowCounts:
    """Bad and all requests of both colors between two looks. `reference` is the active color."""

    bad: Number
    total: Number
    reference_bad: Number
    reference_total: Number


@dataclass(frozen=True, slots=True)
class Bets:
    """The logarithm of each bet's capital, 0 at the start, and the counts of the active color,
    from which the next bet is made."""

    log_capitals: tuple[Number, ...] = (0.0,) * len(WORSENINGS)
    reference_bad: Number = 0.0
    reference_total: Number = 0.0


@dataclass(frozen=True, slots=True)
class SequentialTest:
    """A comparison with one series of bets for each step of a release. They share one capital, so that a good beginning does not
    hide a late fault. `planned`: the number of series; those still to come count as capital not yet bet."""

    planned: int
    begun: tuple[Bets, ...] = ()
    expected: Bets = Bets()  # known about the active color before the first window; only its two counts are used


def begin_series(comparison: SequentialTest) -> SequentialTest:
    """Start one more series of bets, for a new step. Has no effect beyond the planned number."""
    if len(comparison.begun) >= comparison.planned:
        return comparison
    known = comparison.begun[-1] if comparison.begun else comparison.expected
    fresh = replace(Bets(), reference_bad=known.reference_bad, reference_total=known.reference_total)
    return replace(comparison, begun=(*comparison.begun, fresh))


def advance(comparison: SequentialTest, block: WindowCounts, numerics: Numerics = FLOATS) -> SequentialTest:
    """The comparison after one more window of requests."""
    return replace(comparison, begun=tuple(_paid(bets, block, numerics) for bets in comparison.begun))


def log_evidence(comparison: SequentialTest, numerics: Numerics = FLOATS) -> Number:
    """A lower bound for the logarithm of the capital; `level` is reached when it is `-log(level)` or more. It is a lower bound
    because only the best bet is counted, with its share of the stake."""
    stake = math.log(comparison.planned * len(WORSENINGS))
    capitals = [capital for bets in comparison.begun for capital in bets.log_capitals]
    if not capitals:
        return 0.0 - stake
    return reduce(numerics.maximum, capitals) - stake


def worse_than(share: Number, worsening: float) -> Number:
    """The share of bad requests after the part `worsening` of the good ones has turned bad: above `share`, and below 1."""
    return share + (1 - share) * worsening


def _paid(bets: Bets, block: WindowCounts, numerics: Numerics) -> Bets:
    share = (bets.reference_bad + PRIOR_BAD) / (
        bets.reference_total + PRIOR_TOTAL
    )  # before this block, whose outcome no bet may use
    everyone = block.total + block.reference_total
    weight = block.total / numerics.maximum(everyone, 1)
    return Bets(
        tuple(
            capital + _payout(share, worse_than(share, worse), weight, block, numerics)
            for capital, worse in zip(bets.log_capitals, WORSENINGS, strict=True)
        ),
        bets.reference_bad + block.reference_bad,
        bets.reference_total + block.reference_total,
    )


def _payout(reference: Number, target: Number, weight: Number, block: WindowCounts, numerics: Numerics) -> Number:
    """Logarithm of the payout of a bet on these two shares for a block, against the hypothesis of their common share."""
    common = (1 - weight) * reference + weight * target
    good, reference_good = block.total - block.bad, block.reference_total - block.reference_bad
    return (
        block.bad * numerics.log(target / common)
        + good * numerics.log((1 - target) / (1 - common))
        + block.reference_bad * numerics.log(reference / common)
        + reference_good * numerics.log((1 - reference) / (1 - common))
    )


def log_over_limit(bad: Number, total: Number, limit: float, numerics: Numerics = FLOATS) -> Number:
    """Logarithm of the evidence that a share is over `limit`, from all requests so far; read like `log_evidence`.

    It bets on the same worsenings above the limit. These shares never change, so the sums of the counts are enough.
    """
    shares = (worse_than(limit, worse) for worse in WORSENINGS)
    capitals = [bad * math.log(share / limit) + (total - bad) * math.log((1 - share) / (1 - limit)) for share in shares]
    return reduce(numerics.maximum, capitals) - math.log(len(capitals))
