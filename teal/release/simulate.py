"""What the gates find and how often they err, by simulation: `python -m teal.release.simulate [--releases 10000] [--json]`.

Thousands of releases are played on random traces, and the rule that `teal release` uses judges each beside three others: Fisher's test at
every look (what this project did before), Argo Rollouts' fixed checks, and Kayenta's Mann-Whitney classifier. All four see the same traces.

A release is 5, 25, 50 and 100 % of the users' requests for five minutes each, looked at every five seconds as on AWS (`ReleaseRules`). At 100 % the
active color receives nothing, so the comparison ends there and only the absolute limits go on. Requests arrive by a Poisson process.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from teal.release.analysis import BUDGET, HISTORY_REQUESTS
from teal.release.sequential import Bets, Numerics, SequentialTest, WindowCounts, advance, begin_series, log_evidence

ARRAYS: Final = Numerics(np.log, np.maximum)
LOOK_SECONDS: Final = 5.0
STEP_SECONDS: Final = 300.0
SHARES: Final = (0.05, 0.25, 0.50)  # of the requests to the new color while both are asked
RATES: Final = (1.0, 5.0, 50.0)  # requests a second, both colors together
# Worsenings, added to the share of bad requests and tried from the smallest.
WORSE: Final = (0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5)
FOUND: Final = 0.9  # a worsening counts as found when this share of the releases is aborted

Flags = NDArray[np.bool_]
Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class SimulatedGate:
    """One kind of gate: its name and the share of bad requests of the active version."""

    name: str
    share: float
    margin: float  # the smallest relevant difference, used only by the former rule


GATES: Final = (
    SimulatedGate("errors", 0.001, 0.002),
    SimulatedGate("slow", 0.01, 0.01),
    SimulatedGate("empty retrieval", 0.05, 0.02),
    SimulatedGate("I don't know", 0.2, 0.02),
)


@dataclass(frozen=True, slots=True)
class SimulatedWindows:
    """The windows of all simulated releases, one row each:
    bad and all requests of the new and of the active color, and the step."""

    bad: Floats
    total: Floats
    reference_bad: Floats
    reference_total: Floats
    step: NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class SimulationOutcome:
    """The outcome of a rule. `aborted`: the share of releases that it stopped. `requests`: the median number of the new color's
    requests until then; 0 when none was stopped."""

    rule: str
    aborted: float
    requests: float


def trace(releases: int, rate: float, share: float, worse: float, random: np.random.Generator) -> SimulatedWindows:
    """Random windows with `rate` requests a second, in which the new color's share of bad requests is `share + worse`."""
    looks = int(STEP_SECONDS / LOOK_SECONDS)
    step = np.repeat(np.arange(len(SHARES)), looks)
    mean = rate * LOOK_SECONDS * np.repeat(np.array(SHARES), looks)[:, None]
    size = (len(step), releases)
    total = random.poisson(mean, size)
    reference_total = random.poisson(rate * LOOK_SECONDS - mean, size)
    return SimulatedWindows(
        random.binomial(total, min(1.0, share + worse)).astype(float),
        total.astype(float),
        random.binomial(reference_total, share).astype(float),
        reference_total.astype(float),
        step,
    )


def betting_rule(played: SimulatedWindows, level: float, share: float) -> Floats:
    """Requests of the new color until the sequential test stops the release; infinite if it never does. `share`: the active
    color's share of bad requests in its history before the release."""
    releases = played.bad.shape[1]
    history = Bets(reference_bad=share * HISTORY_REQUESTS, reference_total=HISTORY_REQUESTS)
    comparison, stopped, asked = (
        SequentialTest(planned=len(SHARES), expected=history),
        np.full(releases, np.inf),
        np.zeros(releases),
    )
    for window in range(len(played.step)):
        if window == 0 or played.step[window] != played.step[window - 1]:
            comparison = begin_series(comparison)
        block = WindowCounts(
            played.bad[window], played.total[window], played.reference_bad[window], played.reference_total[window]
        )
        comparison = advance(comparison, block, ARRAYS)
        asked += played.total[window]
        stopped = np.where(np.isinf(stopped) & (log_evidence(comparison, ARRAYS) >= -math.log(level)), asked, stopped)
    return stopped


def fisher_rule(played: SimulatedWindows, level: float, early: float, margin: float, minimum: int = 100) -> Floats:
    """Fisher's exact test at each look of each step, with a stricter level before a step's last look, as `teal release` did before."""
    stopped = np.full(played.bad.shape[1], np.inf)
    for release in range(played.bad.shape[1]):
        asked = 0.0
        for step in range(len(SHARES)):
            rows = np.flatnonzero(played.step == step)
            sums = [
                np.cumsum(column[rows, release])
                for column in (played.bad, played.total, played.reference_bad, played.reference_total)
            ]
            for look, (bad, total, reference_bad, reference_total) in enumerate(zip(*sums, strict=True)):
                limit = level if look == len(rows) - 1 else early
                if reference_total < minimum or bad / max(total, 1) - reference_bad / reference_total <= margin:
                    continue
                if fisher_greater(int(bad), int(total), int(reference_bad), int(reference_total)) < limit:
                    stopped[release] = asked + total
                    break
            if not np.isinf(stopped[release]):
                break
            asked += sums[1][-1]
    return stopped


def fisher_greater(bad: int, total: int, reference_bad: int, reference_total: int) -> float:
    """P(at least `bad` of `total` | the margins, no difference): the upper tail of the hypergeometric distribution."""
    if not (0 <= bad <= total and 0 <= reference_bad <= reference_total):
        raise ValueError(f"not counts: {bad}/{total}, {reference_bad}/{reference_total}")
    everyone, all_bad = total + reference_total, bad + reference_bad
    if bad == max(0, all_bad - reference_total):
        return 1.0  # the smallest possible value
    whole = _log_choose(everyone, all_bad)
    last = min(total, all_bad)
    terms = [_log_choose(total, k) + _log_choose(reference_total, all_bad - k) - whole for k in range(bad, last + 1)]
    largest = max(terms)
    return min(1.0, math.exp(largest) * math.fsum(math.exp(term - largest) for term in terms))


def _log_choose(n: int, k: int) -> float:
    return math.lgamma(n + 1) - math.lgamma(k + 1) - math.lgamma(n - k + 1)


def argo_rule(played: SimulatedWindows, success: float = 0.95, failure_limit: int = 3) -> Floats:
    """Argo Rollouts' example: the share of good requests every five minutes, failed once more than `failure_limit` checks were below `success`.

    Source: docs/features/analysis.md of argoproj/argo-rollouts. With steps of five minutes there are three checks, so that checks are made
    each minute here, which is what its examples with `interval: 60s` do.
    """
    every = int(60 / LOOK_SECONDS)
    failures, stopped, asked = np.zeros(played.bad.shape[1]), np.full(played.bad.shape[1], np.inf), np.zeros(played.bad.shape[1])
    for first in range(0, len(played.step), every):
        bad, total = played.bad[first : first + every].sum(axis=0), played.total[first : first + every].sum(axis=0)
        asked += total
        failures += (total > 0) & (bad > (1 - success) * total)
        stopped = np.where(np.isinf(stopped) & (failures > failure_limit), asked, stopped)
    return stopped


def kayenta_rule(played: SimulatedWindows, fraction: float = 0.25, confidence: float = 0.98) -> Floats:
    """Kayenta's classifier on one value a minute and color, at the end of each step: "High" when the confidence interval of the shift lies
    above `fraction` of its estimate. Source: MannWhitneyClassifier and NetflixACAJudge of spinnaker/kayenta (0.25, 0.98).

    The interval is that of Hodges and Lehmann by the normal approximation: the k-th smallest of all differences.
    """
    every = int(60 / LOOK_SECONDS)
    stopped, asked = np.full(played.bad.shape[1], np.inf), np.zeros(played.bad.shape[1])
    for step in range(len(SHARES)):
        rows = np.flatnonzero(played.step == step).reshape(-1, every)
        values = []
        for bad, total in ((played.bad, played.total), (played.reference_bad, played.reference_total)):
            values.append(bad[rows].sum(axis=1) / np.maximum(total[rows].sum(axis=1), 1))
        asked = asked + played.total[rows].sum(axis=(0, 1))
        n = len(rows)
        differences = np.sort((values[0][:, None, :] - values[1][None, :, :]).reshape(n * n, -1), axis=0)
        deviation = math.sqrt(n * n * (2 * n + 1) / 12)
        lowest = max(0, math.floor(n * n / 2 - _normal_quantile((1 + confidence) / 2) * deviation))
        high = differences[lowest] > fraction * np.abs(np.median(differences, axis=0))
        stopped = np.where(np.isinf(stopped) & high, asked, stopped)
    return stopped


def _normal_quantile(probability: float) -> float:
    from statistics import NormalDist

    return NormalDist().inv_cdf(probability)


def simulated_rules(gate: SimulatedGate, gates: int) -> tuple[tuple[str, Callable[[SimulatedWindows], Floats]], ...]:
    """Every rule by name. Teal's rule divides the error budget over all gates; Fisher's test has its former levels."""
    return (
        ("teal: sequential", lambda played: betting_rule(played, BUDGET / gates, gate.share)),
        ("Fisher at each look", lambda played: fisher_rule(played, 0.01, 0.0005, gate.margin)),
        ("Argo: fixed checks", argo_rule),
        ("Kayenta: Mann-Whitney", kayenta_rule),
    )


def play(
    gate: SimulatedGate, rate: float, worse: float, releases: int, seed: int, *, slow_releases: int, gates: int
) -> Iterator[SimulationOutcome]:
    """Apply every rule to the same traces. Fisher's test does not work on arrays,
    so it judges only the first `slow_releases` of them."""
    played = trace(releases, rate, gate.share, worse, np.random.default_rng(seed))
    few = SimulatedWindows(
        played.bad[:, :slow_releases],
        played.total[:, :slow_releases],
        played.reference_bad[:, :slow_releases],
        played.reference_total[:, :slow_releases],
        played.step,
    )
    for name, rule in simulated_rules(gate, gates):
        stopped = rule(few if name.startswith("Fisher") else played)
        ended = stopped[np.isfinite(stopped)]
        yield SimulationOutcome(name, len(ended) / len(stopped), float(np.median(ended)) if len(ended) else 0.0)


def smallest(
    gate: SimulatedGate, rate: float, releases: int, seed: int, *, slow_releases: int, gates: int
) -> dict[str, tuple[float, float]]:
    """For each rule the smallest of `WORSE` that it finds in nine of ten releases, and after how many requests; absent when it finds none."""
    found: dict[str, tuple[float, float]] = {}
    for worse in WORSE:
        for outcome in play(gate, rate, worse, releases, seed, slow_releases=slow_releases, gates=gates):
            if outcome.aborted >= FOUND and outcome.rule not in found:
                found[outcome.rule] = (worse, outcome.requests)
    return found


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m teal.release.simulate", description=__doc__)
    parser.add_argument("--releases", type=int, default=10_000)
    parser.add_argument("--slow-releases", type=int, default=200, help="releases that rules without arrays judge")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--gates", type=int, default=len(GATES), help="how many gates divide the error budget")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args(arguments)
    rows: list[dict[str, Any]] = []
    for rate in RATES:
        for gate in GATES:
            common = {"slow_releases": options.slow_releases, "gates": options.gates}
            false = {one.rule: one for one in play(gate, rate, 0.0, options.releases, options.seed, **common)}
            power = smallest(gate, rate, max(100, options.releases // 20), options.seed + 1, **common)
            for rule, outcome in false.items():
                worse, requests = power.get(rule, (None, None))
                rows.append(
                    {
                        **asdict(gate),
                        "rate": rate,
                        "rule": rule,
                        "false_aborts": outcome.aborted,
                        "finds": worse,
                        "requests": requests,
                    }
                )
                sys.stdout.write((json.dumps(rows[-1]) if options.json else _line(rows[-1])) + "\n")
                sys.stdout.flush()
    return 0


def _line(row: dict[str, Any]) -> str:
    finds = (
        "finds none of these worsenings"
        if row["finds"] is None
        else f"finds +{row['finds']:.1%} after {row['requests']:.0f} requests"
    )
    return f"{row['rate']:>4.0f}/s  {row['name']:<16} {row['share']:>5.1%}  {row['rule']:<22} false aborts {row['false_aborts']:>6.2%}  {finds}"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
