"""Computes from a step run how many questions a second one replica answers, how many replicas a load needs,
and what a question costs. Pure functions."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from teal.errors import BadInput

# The part of its capacity that a replica is planned for: when the load grows, new pods are ready only after a minute or two.
HEADROOM: Final = 0.7
ANSWERED: Final = 0.95  # of the offered questions: with fewer answered the queue grows, even while the latency is still good
SECONDS_A_MONTH: Final = 730 * 3600  # as infra/cost/report.py counts a month
RUN_STEP: Final = "teal load step"


class Goodput(BaseModel):
    """Questions a second that were answered within every limit:
    the mean over the repetitions, and its 95 % confidence interval (None for a single run)."""

    model_config = ConfigDict(extra="ignore", frozen=True)
    mean: float
    low: float | None = None
    high: float | None = None
    repetitions: int = 1


class MeasuredStage(BaseModel):
    """The fields that are read from a stage of result.json, which loadtests/measured.py writes."""

    model_config = ConfigDict(extra="ignore", frozen=True)
    level: int
    offered_per_second: float | None
    questions_per_second: float
    outcome: str
    why: str = ""
    goodput: Goodput | None = None
    replicas: int | None = None
    cpu_per_replica: float | None = None

    @property
    def kept(self) -> bool:
        """Whether every threshold was kept and as many requests were answered as arrived."""
        return self.outcome == "kept" and self.questions_per_second >= ANSWERED * (self.offered_per_second or 0.0)


class CapacityRun(BaseModel):
    model_config = ConfigDict(extra="ignore", frozen=True)
    shape: str
    each_stage: bool = False  # true for a custom shape that searches for the limit stage by stage, as `step` does
    stages: tuple[MeasuredStage, ...] = Field(min_length=1)


@dataclass(frozen=True, slots=True)
class Capacity:
    """The highest load that was kept. `knee`: a higher stage failed, so this is the limit and not merely the highest tried load.
    `cpu_per_replica`: the cores that a replica used at it.

    `above`: the outcome of the next stage as a sentence. A stage in which the load generator was late is no limit of the service.
    """

    questions_per_second: float
    replicas: int
    knee: bool
    cpu_per_replica: float | None
    goodput: Goodput | None = None
    above: str = ""

    @property
    def per_replica(self) -> float:
        return self.questions_per_second / self.replicas


def read_run(path: Path) -> CapacityRun:
    """Read the result file of a step run. Raises BadInput for any other file."""
    try:
        found = CapacityRun.model_validate_json(path.read_bytes())
    except (OSError, ValidationError) as error:
        reason = error.errors()[0]["msg"] if isinstance(error, ValidationError) else error.strerror
        raise BadInput(f"This is no result of a load test: {reason}", where=str(path), next=RUN_STEP) from error
    if found.shape != "step" and not found.each_stage:
        raise BadInput(f"Capacity is read from a step run, and this is {found.shape}", where=str(path), next=RUN_STEP)
    return found


def capacity(run: CapacityRun, replicas: int | None = None) -> Capacity:
    """The capacity by the last stage before the first that was not kept. `replicas`: their number, if the run did not count them.
    Raises BadInput when no stage was kept or the number of replicas is unknown."""
    good: list[MeasuredStage] = []
    for stage in run.stages:
        if not stage.kept:
            break
        good.append(stage)
    above = run.stages[len(good)] if len(good) < len(run.stages) else None
    if not good:
        raise _nothing(run.stages[0])
    best = good[-1]
    count = replicas or best.replicas
    if not count:
        raise BadInput("The run does not know how many replicas answered", where="result.json", next="teal capacity --replicas N")
    # Only a breached threshold or unanswered questions show a limit of the service; a void stage or too few samples do not.
    knee = above is not None and above.outcome not in UNKNOWN
    return Capacity(best.questions_per_second, count, knee, best.cpu_per_replica, best.goodput, _above(above))


UNKNOWN: Final = ("void", "too few")


def _above(stage: MeasuredStage | None) -> str:
    if stage is None:
        return ""
    if stage.outcome == "kept":
        return f"of {stage.level} a second only {stage.questions_per_second:.1f} were answered"
    return f"{stage.level} a second was {stage.outcome}{': ' if stage.why else ''}{stage.why}"


def _nothing(first: MeasuredStage) -> BadInput:
    """The error for a run whose first stage gives no capacity:
    because of the service, of the generator, or of too little time."""
    where = f"{first.level} questions a second"
    if first.outcome == "void":
        return BadInput(f"The load generator was the limit in the first stage already: {first.why}", where=where,
                        next=f"{RUN_STEP} --workers 2, or from another machine")  # fmt: skip
    if first.outcome == "too few":
        return BadInput(
            "Too few samples in the first stage to say what the service carries", where=where, next=f"{RUN_STEP} --seconds 480"
        )
    return BadInput(
        "No stage kept its thresholds: the service carries less than the first one", where=where, next=f"{RUN_STEP} --scale 0.2"
    )


def replicas_for(load_per_second: float, per_replica: float) -> int:
    """How many replicas carry a load with HEADROOM; at least two, so that one may be lost."""
    return max(2, math.ceil(load_per_second / (per_replica * HEADROOM)))


def usd_per_million(usd_a_month: float, load_per_second: float) -> float:
    """Dollars for a million questions at this constant load."""
    return usd_a_month / (load_per_second * SECONDS_A_MONTH) * 1e6


def good_answers_per_usd(goodput_per_second: float, usd_a_month: float) -> float:
    """Answers within every limit for a dollar, at a constant load at the knee."""
    return goodput_per_second * SECONDS_A_MONTH / usd_a_month


def target_cpu_percent(found: Capacity, cpu_request: float) -> int | None:
    """The autoscaler's target in percent of the pod's CPU request: HEADROOM of the CPU that a replica used at its limit, rounded
    to 5 %. None when the CPU was not measured."""
    if found.cpu_per_replica is None:
        return None
    return max(10, round(found.cpu_per_replica * HEADROOM / cpu_request * 20) * 5)
