"""Judges measurements by `thresholds.yaml`: kept, breached, or too few samples. Pure functions, except for reading the file."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from loadtests.measured import Count, Outcome

DEFAULT: Final = Path(__file__).with_name("thresholds.yaml")
CONFIDENCE: Final = 0.95
SURE: Final = 0.001  # too few samples are a breach only if chance gives so many bad ones less often than this

_ORDER: Final[tuple[Outcome, ...]] = ("failed", "void", "breached", "too few", "kept")  # the worst first


class Threshold(BaseModel):
    """At most `at_most_percent` of `requests` may take longer than `later_than_ms`, or without it may fail."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    requests: str = Field(min_length=1)
    at_most_percent: float = Field(gt=0, lt=100)
    later_than_ms: int | None = Field(default=None, ge=1)
    shapes: tuple[str, ...] = ()
    why: str = Field(min_length=1)

    @property
    def says(self) -> str:
        bad = "failed" if self.later_than_ms is None else f"later than {self.later_than_ms} ms"
        return f"{self.requests}: at most {self.at_most_percent:g} % {bad}"

    @property
    def minimum_samples(self) -> int:
        """The least n for which n samples without a bad one show, with CONFIDENCE, that the share is kept: (1 - share)^n <= 1 - CONFIDENCE."""
        return math.ceil(math.log(1 - CONFIDENCE) / math.log(1 - self.at_most_percent / 100))


class GeneratorLimit(BaseModel):
    """A stage is void when 1 % of its requests are sent later than this: it would measure the generator."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    late_p99_ms: int = Field(default=50, ge=1)


class BaselineLimit(BaseModel):
    """The limit against a baseline: breached when p95 is above `ratio` times its p95,
    and chance explains this with a probability below `p`."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    ratio: float = Field(default=1.3, ge=1)
    p: float = Field(default=0.01, gt=0, lt=1)


class ThresholdFile(BaseModel):
    """The content of `thresholds.yaml`."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    thresholds: tuple[Threshold, ...] = Field(min_length=1)
    generator: GeneratorLimit = GeneratorLimit()
    baseline: BaselineLimit = BaselineLimit()

    def of(self, shape: str, sends: Sequence[str] = ()) -> tuple[Threshold, ...]:
        """The rows that apply to a shape and to the requests that its users send:
        a reproducer that only searches is not judged by asks."""
        rows = [row for row in self.thresholds if not row.shapes or shape in row.shapes]
        return tuple(row for row in rows if not sends or row.requests in sends)

    def slos(self) -> dict[str, float]:
        """The strictest limit in seconds by name of requests. An answer within all of them is good."""
        found: dict[str, float] = {}
        for row in self.thresholds:
            if row.later_than_ms is not None:
                found[row.requests] = min(found.get(row.requests, float("inf")), row.later_than_ms / 1000)
        return found


@dataclass(frozen=True, slots=True)
class Verdict:
    """One threshold, judged."""

    says: str
    outcome: Outcome
    bad: int
    samples: int
    minimum_samples: int
    why: str


def read_rules(path: Path) -> ThresholdFile:
    """Read `thresholds.yaml`. Raises ValueError, which names the row, for an invalid file."""
    try:
        return ThresholdFile.model_validate(yaml.safe_load(path.read_text(encoding="utf-8")))
    except (ValidationError, yaml.YAMLError) as error:
        said = error.errors()[0] if isinstance(error, ValidationError) else {"loc": (), "msg": str(error)}
        raise ValueError(f"{path}: {'.'.join(str(part) for part in said['loc'])}: {said['msg']}") from error


def load_thresholds(path: Path, shape: str) -> tuple[Threshold, ...]:
    """The rows that apply to a shape. Raises ValueError, which names the row, for an invalid file."""
    return read_rules(path).of(shape)


def judge_thresholds(rows: Sequence[Threshold], counts: Mapping[str, Count]) -> tuple[Verdict, ...]:
    """A verdict for each row, in order."""
    return tuple(_one(row, counts.get(row.requests) or Count()) for row in rows)


def _one(row: Threshold, count: Count) -> Verdict:
    bad = count.failed if row.later_than_ms is None else count.later_than(row.later_than_ms)
    allowed, minimum = row.at_most_percent / 100, row.minimum_samples
    outcome: Outcome = "breached" if bad > allowed * count.requests else "kept"
    if count.requests < minimum and (outcome == "kept" or chance_of_as_many(bad, count.requests, allowed) >= SURE):
        outcome = "too few"
    return Verdict(row.says, outcome, bad, count.requests, minimum, row.why)


def chance_of_as_many(bad: int, samples: int, share: float) -> float:
    """P(X >= bad) for X binomial(samples, share): the probability of this many bad samples when the share is just kept."""
    # By logarithms, because the binomial coefficients of thousands of samples are no floating-point numbers.
    logs = math.log(share), math.log1p(-share)
    found = 0.0
    for k in range(bad, samples + 1):
        chosen = math.lgamma(samples + 1) - math.lgamma(k + 1) - math.lgamma(samples - k + 1)
        term = math.exp(chosen + k * logs[0] + (samples - k) * logs[1])
        found += term
        if k > share * samples and term < 1e-12:
            break  # all that follow are smaller
    return min(1.0, found)


def worst(verdicts: Sequence[Verdict]) -> Outcome:
    """The worst outcome of the verdicts: breached, then too few, then kept."""
    return worst_of([verdict.outcome for verdict in verdicts])


def worst_of(outcomes: Sequence[Outcome]) -> Outcome:
    """The worst outcome; `too few` without any.
    Void is worse than a breach, because a late generator makes a healthy service look slow."""
    return min(outcomes, key=_ORDER.index, default="too few")
