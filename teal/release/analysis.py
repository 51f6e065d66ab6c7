"""Whether a new color serves users worse than the active one. Pure: counts in, verdicts out.

Each gate is a share bad/total, judged by Fisher's exact test, one-sided: how likely is it to see at least this many bad requests
in the target if both colors were the same? A difference counts when it is unlikely (below the gate's level) and large enough to matter.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final, Literal

from teal.metrics.port import Counts

Verdict = Literal["Successful", "Failed", "Inconclusive", "Absent"]

LEVEL: Final = 0.01  # a good release is stopped by one gate at one look in a hundred; see EARLY_LEVEL for looking often
EARLY_LEVEL: Final = 0.0005  # looks before the last one of a step: 20 of them together add at most LEVEL


@dataclass(frozen=True, slots=True)
class Gate:
    """`bad` and `total` name fields of Counts. `margin`: a smaller difference of the shares matters to nobody. Without an active color
    to compare with, more than `limit` is too much. `required`: no release passes without samples of it."""

    name: str
    bad: str
    total: str
    margin: float
    limit: float
    required: bool = False


GATES: Final = (
    Gate("errors", "errors", "requests", margin=0.002, limit=0.01, required=True),
    Gate("slow", "slow", "requests", margin=0.01, limit=0.05, required=True),
    Gate("empty retrieval", "empty", "searches", margin=0.02, limit=0.2),
    Gate("model 429", "rate_limited", "model_calls", margin=0.02, limit=0.1),
    Gate("broken streams", "broken_streams", "streams", margin=0.005, limit=0.01),
)


@dataclass(frozen=True, slots=True)
class Judgement:
    """One gate at one look: counts of both colors, the test's p (1.0 where none was made), and why in words."""

    gate: str
    verdict: Verdict
    target_bad: int
    target_total: int
    active_bad: int
    active_total: int
    p: float
    reason: str


def fisher_greater(bad: int, total: int, reference_bad: int, reference_total: int) -> float:
    """P(at least `bad` of `total` | the margins, no difference): the upper tail of the hypergeometric distribution.

    Exact to rounding of logarithms (relative 1e-9 at a million samples); cost: one term per bad request of either color.
    """
    if not (0 <= bad <= total and 0 <= reference_bad <= reference_total):
        raise ValueError(f"not counts: {bad}/{total}, {reference_bad}/{reference_total}")
    everyone, all_bad = total + reference_total, bad + reference_bad
    last = min(total, all_bad)
    if bad == max(0, all_bad - reference_total):
        return 1.0  # the least that is possible
    whole = _log_choose(everyone, all_bad)
    terms = [_log_choose(total, k) + _log_choose(reference_total, all_bad - k) - whole for k in range(bad, last + 1)]
    largest = max(terms)
    return min(1.0, math.exp(largest) * math.fsum(math.exp(term - largest) for term in terms))


def _log_choose(n: int, k: int) -> float:
    return math.lgamma(n + 1) - math.lgamma(k + 1) - math.lgamma(n - k + 1)


def judge(
    target: Counts, active: Counts | None, *, minimum: int, last_look: bool, gates: Iterable[Gate] = GATES
) -> tuple[Judgement, ...]:
    """Every gate. `active` None: there is nothing to compare with, the fixed limits hold. `minimum`: samples of a gate in each color.

    Before the last look of a step only strong evidence counts, because a test that is looked at often fails by chance often.
    """
    return tuple(_judge(gate, target, active, minimum, LEVEL if last_look else EARLY_LEVEL) for gate in gates)


def _judge(gate: Gate, target: Counts, active: Counts | None, minimum: int, level: float) -> Judgement:
    total = getattr(target, gate.total)
    bad = min(getattr(target, gate.bad), total)  # two counters are not read at one instant
    reference_total = getattr(active, gate.total) if active else 0
    reference_bad = min(getattr(active, gate.bad), reference_total) if active else 0

    def made(verdict: Verdict, reason: str, p: float = 1.0) -> Judgement:
        return Judgement(gate.name, verdict, bad, total, reference_bad, reference_total, p, reason)

    share = bad / total if total else 0.0
    if active is None:
        if total < minimum:
            return made("Inconclusive" if gate.required else "Absent", f"{total} samples, {minimum} are needed")
        if share > gate.limit:
            return made("Failed", f"{share:.2%} is over the limit of {gate.limit:.2%}")
        return made("Successful", f"{share:.2%} is within the limit of {gate.limit:.2%}")

    reference = reference_bad / reference_total if reference_total else 0.0
    p = fisher_greater(bad, total, reference_bad, reference_total)
    if reference_total >= minimum and p < level and share - reference > gate.margin:
        return made("Failed", f"{share:.2%} against {reference:.2%} of the active color (p {p:.2g})", p)
    if total >= minimum and reference_total >= minimum:
        return made("Successful", f"{share:.2%} against {reference:.2%} of the active color (p {p:.2g})", p)
    if not gate.required and total < minimum and reference_total < minimum:
        return made("Absent", f"too rare in both colors to judge: {total} and {reference_total}", p)
    thin = [f"{name} {have}" for name, have in (("target", total), ("active", reference_total)) if have < minimum]
    return made("Inconclusive", f"{minimum} samples are needed: {', '.join(thin)}", p)


def overall(judgements: Iterable[Judgement]) -> Verdict:
    """The worst of them: Failed, then Inconclusive, then Successful. No gate with samples: Inconclusive, never a pass."""
    found = {one.verdict for one in judgements}
    for verdict in ("Failed", "Inconclusive", "Successful"):
        if verdict in found:
            return verdict
    return "Inconclusive"
