"""Judges what was measured by `thresholds.yaml`: kept, breached, or too few samples to say. Pure but for reading the file."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from loadtests.measured import Count

DEFAULT: Final = Path(__file__).with_name("thresholds.yaml")
CONFIDENCE: Final = 0.95
SURE: Final = 0.001  # with too few samples: so many bad ones would come by chance less than once in a thousand runs

Outcome = Literal["kept", "breached", "too few"]


class Threshold(BaseModel):
    """At most `at_most_percent` of `requests` are later than `later_than_ms`, or, without it, failed."""

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


class _File(BaseModel):
    model_config = ConfigDict(extra="forbid")
    thresholds: tuple[Threshold, ...] = Field(min_length=1)


@dataclass(frozen=True, slots=True)
class Verdict:
    """One threshold, judged."""

    says: str
    outcome: Outcome
    bad: int
    samples: int
    minimum_samples: int
    why: str


def load(path: Path, shape: str) -> tuple[Threshold, ...]:
    """The rows that hold for a shape. Raises ValueError, naming the row, for a file that is none."""
    try:
        found = _File.model_validate(yaml.safe_load(path.read_text(encoding="utf-8")))
    except (ValidationError, yaml.YAMLError) as error:
        said = error.errors()[0] if isinstance(error, ValidationError) else {"loc": (), "msg": str(error)}
        raise ValueError(f"{path}: {'.'.join(str(part) for part in said['loc'])}: {said['msg']}") from error
    return tuple(row for row in found.thresholds if not row.shapes or shape in row.shapes)


def judge(rows: Sequence[Threshold], counts: Mapping[str, Count]) -> tuple[Verdict, ...]:
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
    """P(X >= bad) for X binomial(samples, share): how often so many come by chance when the share is just kept."""
    return sum(math.comb(samples, k) * share**k * (1 - share) ** (samples - k) for k in range(bad, samples + 1))


def worst(verdicts: Sequence[Verdict]) -> Outcome:
    """A breach outweighs everything, too few samples outweigh what is kept."""
    outcomes = {verdict.outcome for verdict in verdicts}
    return "breached" if "breached" in outcomes else "too few" if "too few" in outcomes or not outcomes else "kept"
