"""Compares a run with a baseline: is it slower by more than a ratio, is its goodput smaller, and by more than chance? Pure functions."""

from __future__ import annotations

import math
from typing import Final

from loadtests.measured import Count, Interval, LoadTestResult, Outcome
from loadtests.thresholds import BaselineLimit, Verdict

TAIL: Final = 0.05  # the share of requests above p95
LEAST_SAMPLES: Final = 59  # on both sides: with fewer, p95 is not meaningful (docs/load.md)
LEAST_REPETITIONS: Final = 3  # on both sides: Student's t for two is 12.7, and such an interval excludes nothing


def compare_runs(now: LoadTestResult, then: LoadTestResult, limit: BaselineLimit) -> tuple[Verdict, ...]:
    """A verdict for each name of requests that both runs have. Runs of different shapes or plans cannot be compared: too few."""
    same = is_comparable(now, then)
    before = then.totals
    return tuple(_one(name, count, before[name], limit, same) for name, count in sorted(now.totals.items()) if name in before)


def compare_goodput(now: Interval | None, then: Interval | None, *, same: bool) -> tuple[Verdict, ...]:
    """A verdict on goodput where both runs have repetitions enough for a confidence interval; without them none.
    Breached when the whole interval is below the baseline's: then chance is no explanation."""
    if not same or now is None or then is None or min(now.repetitions, then.repetitions) < LEAST_REPETITIONS:
        return ()
    if now.low is None or now.high is None or then.low is None or then.high is None:
        return ()
    breached = now.high < then.low
    says = f"goodput: {now.mean:.1f} a second ({now.low:.1f} to {now.high:.1f}), the baseline's {then.mean:.1f} ({then.low:.1f} to {then.high:.1f})"
    bad = now.repetitions if breached else 0
    why = "fewer answers within every limit; breached when the whole interval is below the baseline's"
    return (Verdict(says, "breached" if breached else "kept", bad, now.repetitions, LEAST_REPETITIONS, why),)


def is_comparable(now: LoadTestResult, then: LoadTestResult) -> bool:
    """Whether both ran the same shape with the same plan."""
    return (now.shape, now.plan) == (then.shape, then.plan)


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
