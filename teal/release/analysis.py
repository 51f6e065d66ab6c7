"""Decides whether a new color serves users worse than the active one. Counts in, verdicts out; uses no clock and no network.

Each gate is a share bad/total (teal/metrics/gates.py). Counts and evidence add up over the whole release, from the first shift to
the end of the rollback window. They may be evaluated at any time, because the test (teal/release/sequential.py) stays valid. All
gates of a release share one error budget.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Final, Literal

from teal.metrics.gates import GATES, Gate
from teal.ports.metrics import Counts
from teal.release.sequential import Bets, SequentialTest, WindowCounts, advance, begin_series, log_evidence, log_over_limit

Verdict = Literal["Successful", "Failed", "Inconclusive", "Absent"]

NOTHING: Final = WindowCounts(0, 0, 0, 0)
# The probability that any gate stops a release that is as good as the active color: one in a hundred releases.
BUDGET: Final = 0.01
# At most this many requests of the active color before the release count for its expected share; more would outweigh today's.
HISTORY_REQUESTS: Final = 2000
# Standard deviations of the normal distribution: 99.95 % of the active color's possible true shares lie below that bound
SURE_DEVIATIONS: Final = 3.3


@dataclass(frozen=True, slots=True)
class Judgement:
    """The verdict on one gate at one look, with both colors' counts since the release began, p, and the reason. `bad` and `total`
    name the gate's counters. `p` is valid after any number of looks:
    if the new color is no worse, p ever falls below x with probability x at most."""

    gate: str
    bad: str
    total: str
    verdict: Verdict
    target_bad: int
    target_total: int
    active_bad: int
    active_total: int
    p: float
    reason: str


@dataclass(frozen=True, slots=True)
class _Seen:
    """The counts of one gate: since the release began, and how many of them come from earlier steps."""

    comparison: SequentialTest
    now: WindowCounts = NOTHING
    before: WindowCounts = NOTHING


class Analysis:
    """The analysis of one release. `steps`: how often `begin_step` will be called.
    `history`: the active color's counts before the release.

    `minimum`: samples of a gate in each color before it can be Successful.
    """

    def __init__(
        self,
        *,
        steps: int,
        minimum: int,
        history: Counts | None = None,
        gates: Iterable[Gate] = GATES,
        budget: float = BUDGET,
    ) -> None:
        self._gates, self._minimum = tuple(gates), minimum
        # Half of the budget is for the comparison with the active color, half for the absolute limits.
        self._threshold = -math.log(budget / 2 / len(self._gates))
        self._seen = {gate.name: _Seen(_expecting(gate, history, steps)) for gate in self._gates}

    def begin_step(self) -> None:
        """Begin a new step: later counts belong to it, and faults that begin with it get a test of their own."""
        self._seen = {
            name: replace(seen, comparison=begin_series(seen.comparison), before=seen.now) for name, seen in self._seen.items()
        }

    def look(self, target: Counts, active: Counts | None) -> tuple[Judgement, ...]:
        """Judge every gate by the counts since the step began. With `active` None only the absolute limits are checked."""
        return tuple(self._look(gate, target, active) for gate in self._gates)

    def _look(self, gate: Gate, target: Counts, active: Counts | None) -> Judgement:
        seen = self._seen[gate.name]
        now = _sum(seen.before, _block(gate, target, active))
        comparison = advance(seen.comparison, _difference(now, seen.now))
        self._seen[gate.name] = replace(seen, comparison=comparison, now=now)
        verdict: Verdict
        unwritten = [counter.read.series for counter in (gate.bad, gate.total) if counter.name not in target]
        if unwritten:
            verdict, reason, p = "Inconclusive", f"nobody writes the metric {' or '.join(unwritten)}, so nothing can be said", 1.0
        elif active is not None and not {gate.bad.name, gate.total.name} <= set(active):
            verdict, reason, p = "Absent", "the active version does not write this metric yet", 1.0
        else:
            verdict, reason, p = self._verdict(
                gate, now, _difference(now, seen.before), log_evidence(comparison), active is not None
            )
        return Judgement(
            gate.name, gate.bad.name, gate.total.name, verdict,
            now.bad, now.total, now.reference_bad, now.reference_total, p, reason,
        )  # fmt: skip

    def _verdict(
        self, gate: Gate, now: WindowCounts, step: WindowCounts, evidence: float, compared: bool
    ) -> tuple[Verdict, str, float]:
        """Judge by the absolute limit first, then by the comparison with the active color, if there is one."""
        if not compared:
            return self._over_limit(gate, now) or self._alone(gate, now)
        if step.reference_total == 0 and now.reference_total >= self._minimum:
            # The active color has no users any more. Its share is known from earlier counts, and the upper bound of it is fixed.
            bound = _upper_bound(now.reference_bad, now.reference_total) + gate.margin
            evidence = max(evidence, log_over_limit(step.bad, step.total, bound))
        p = math.exp(-max(0.0, evidence))
        return self._over_limit(gate, now, p) or self._compared(gate, now, step, evidence, p)

    def _over_limit(self, gate: Gate, now: WindowCounts, p: float = 1.0) -> tuple[Verdict, str, float] | None:
        """Failed when there is enough evidence that the true share is over the gate's limit."""
        if gate.limit is None or log_over_limit(now.bad, now.total, gate.limit) < self._threshold:
            return None
        return "Failed", f"{_share(now.bad, now.total):.2%} is over the limit of {gate.limit:.2%}", p

    def _alone(self, gate: Gate, now: WindowCounts) -> tuple[Verdict, str, float]:
        """Without an active color to compare with: Successful when enough samples are within the limit."""
        share = _share(now.bad, now.total)
        if now.total < self._minimum:
            return ("Inconclusive" if gate.required else "Absent"), f"{now.total} samples, {self._minimum} are needed", 1.0
        if gate.limit is not None and share > gate.limit:
            return "Failed", f"{share:.2%} is over the limit of {gate.limit:.2%}", 1.0
        return "Successful", f"{share:.2%} is within the limit", 1.0

    def _compared(
        self, gate: Gate, now: WindowCounts, step: WindowCounts, evidence: float, p: float
    ) -> tuple[Verdict, str, float]:
        """Failed on evidence that the share is worse by more than the gate's margin;
        Successful only with enough samples of both colors."""
        share, reference = _share(now.bad, now.total), _share(now.reference_bad, now.reference_total)
        said = f"{share:.2%} against {reference:.2%} of the active color (p {p:.2g})"
        if evidence >= self._threshold and max(share, _share(step.bad, step.total)) - reference > gate.margin:
            return "Failed", said, p
        thin = [
            f"{name} {have}" for name, have in (("target", now.total), ("active", now.reference_total)) if have < self._minimum
        ]
        if not thin:
            return "Successful", said, p
        if not gate.waits or (not gate.required and len(thin) == 2):
            return "Absent", f"too rare to judge: {now.total} and {now.reference_total}", p
        return "Inconclusive", f"{self._minimum} samples are needed: {', '.join(thin)}", p


def overall(judgements: Iterable[Judgement]) -> Verdict:
    """The worst verdict: Failed, then Inconclusive, then Successful. Without any samples it is Inconclusive, never a pass."""
    found = {one.verdict for one in judgements}
    for verdict in ("Failed", "Inconclusive", "Successful"):
        if verdict in found:
            return verdict
    return "Inconclusive"


def _expecting(gate: Gate, history: Counts | None, steps: int) -> SequentialTest:
    """A comparison whose first bets use the active color's share before the release."""
    total = (history or Counts()).get(gate.total.name, 0)
    bad = min((history or Counts()).get(gate.bad.name, 0), total)
    weight = min(1.0, HISTORY_REQUESTS / total) if total else 0.0
    return SequentialTest(planned=steps, expected=Bets(reference_bad=bad * weight, reference_total=total * weight))


def _block(gate: Gate, target: Counts, active: Counts | None) -> WindowCounts:
    total, reference_total = target.get(gate.total.name, 0), (active or Counts()).get(gate.total.name, 0)
    # The two counters are not read at the same instant, so bad requests are capped at all requests.
    bad, reference_bad = target.get(gate.bad.name, 0), (active or Counts()).get(gate.bad.name, 0)
    return WindowCounts(min(bad, total), total, min(reference_bad, reference_total), reference_total)


def _sum(one: WindowCounts, other: WindowCounts) -> WindowCounts:
    return WindowCounts(
        one.bad + other.bad, one.total + other.total,
        one.reference_bad + other.reference_bad, one.reference_total + other.reference_total,
    )  # fmt: skip


def _difference(later: WindowCounts, earlier: WindowCounts) -> WindowCounts:
    """The counts between two looks: at least 0, and bad requests capped at all requests."""
    total, reference_total = max(0, later.total - earlier.total), max(0, later.reference_total - earlier.reference_total)
    bad, reference_bad = max(0, later.bad - earlier.bad), max(0, later.reference_bad - earlier.reference_bad)
    return WindowCounts(min(bad, total), total, min(reference_bad, reference_total), reference_total)


def _share(bad: int, total: int) -> float:
    return bad / total if total else 0.0


def _upper_bound(bad: int, total: int) -> float:
    """The largest true share that is still likely after `bad` of `total`: Wilson's score interval, upper end."""
    z2 = SURE_DEVIATIONS**2
    share = bad / total
    spread = SURE_DEVIATIONS * math.sqrt(share * (1 - share) / total + z2 / (4 * total * total))
    return (share + z2 / (2 * total) + spread) / (1 + z2 / total)
