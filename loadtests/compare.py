"""Compares a run with a baseline: is it slower by more than a ratio, and by more than chance? Pure functions."""

from __future__ import annotations

import math
from typing import Final

from loadtests.measured import Count, LoadTestResult, Outcome
from loadtests.thresholds import BaselineLimit, Verdict

TAIL: Final = 0.05  # the share of requests above p95
LEAST_SAMPLES: Final = 59  # on both sides: with fewer, p95 is not meaningful (docs/load.md)


def compare_runs(now: LoadTestResult, then: LoadTestResult, limit: BaselineLimit) -> tuple[Verdict, ...]:
    """A verdict for each name of requests that both runs have. Runs of different shapes or plans cannot be compared: too few."""
    same = (now.shape, now.plan) == (then.shape, then.plan)
    before = then.totals
    return tuple(_one(name, count, before[name], limit, same) for name, count in sorted(now.totals.items()) if name in before)


def _one(name: str, now: Count, then: Count, limit: BaselineLimit, same: bool) -> Verdict:
    then_ms = then.percentile_ms(1 - TAIL)
    bound = (then_ms or 0.0) * limit.ratio
    bad, samples = now.later_than(bound), sum(now.ms.values())
    chance = 1.0
    outcome: Outcome = "kept"
    if not same or min(samples, sum(then.ms.values())) < LEAST_SAMPLES or then_ms is None:
        outcome = "too few"
    else:
        chance = fisher_p_value(bad, samples, then.later_than(then_ms), sum(then.ms.values()))
        if bad > TAIL * samples and chance < limit.p:
            outcome = "breached"
    says = f"{name}: p95 at most {limit.ratio:g} times the baseline's {then_ms or 0:.0f} ms"
    why = (
        f"a slower release shows here first; by chance with p = {chance:.2g}"
        if same
        else "the baseline has another shape or plan"
    )
    return Verdict(says, outcome, bad, samples, LEAST_SAMPLES, why)


def fisher_p_value(bad: int, samples: int, bad_before: int, samples_before: int) -> float:
    """One-sided Fisher's exact test: the probability of this many bad samples or more on this side, if both sides are alike."""
    total, marked = samples + samples_before, bad + bad_before
    whole = _log_choose(total, marked)
    most = min(samples, marked)
    return min(1.0, sum(math.exp(_log_choose(samples, k) + _log_choose(samples_before, marked - k) - whole)
                        for k in range(bad, most + 1) if marked - k <= samples_before))  # fmt: skip


def _log_choose(n: int, k: int) -> float:
    return math.lgamma(n + 1) - math.lgamma(k + 1) - math.lgamma(n - k + 1)
