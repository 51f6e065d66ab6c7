"""From a step run to how many questions a second one replica answers, how many replicas a load needs, and what a question costs. Pure."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from teal.errors import BadInput

# How much of what it carries a replica is given: a load that grows meets new pods only after a minute or two
HEADROOM: Final = 0.7
ANSWERED: Final = 0.95  # of the offered questions: below it the queue grows, whatever the latency still says
SECONDS_A_MONTH: Final = 730 * 3600  # as infra/cost/report.py counts a month
RUN_STEP: Final = "teal load step"


class Goodput(BaseModel):
    """Questions a second that were answered within every limit: the mean of the repetitions, and its 95 % confidence interval (None: one only)."""

    model_config = ConfigDict(extra="ignore", frozen=True)
    mean: float
    low: float | None = None
    high: float | None = None
    repetitions: int = 1


class MeasuredStage(BaseModel):
    """What is read of a stage of result.json (loadtests/measured.py writes it)."""

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
    each_stage: bool = False  # a shape of one's own that searches for the limit, as step does
    stages: tuple[MeasuredStage, ...] = Field(min_length=1)


@dataclass(frozen=True, slots=True)
class Capacity:
    """`knee`: a higher stage was not kept, so this is the limit and not merely the highest that was tried. `cpu_per_replica`: cores, there.

    `above`: what became of the next stage, in words. A stage in which the load generator was late is no limit of the service.
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
    """Raises BadInput for a file that is no result of a step run."""
    try:
        found = CapacityRun.model_validate_json(path.read_bytes())
    except (OSError, ValidationError) as error:
        reason = error.errors()[0]["msg"] if isinstance(error, ValidationError) else error.strerror
        raise BadInput(f"This is no result of a load test: {reason}", where=str(path), next=RUN_STEP) from error
    if found.shape != "step" and not found.each_stage:
        raise BadInput(f"Capacity is read from a step run, and this is {found.shape}", where=str(path), next=RUN_STEP)
    return found


def capacity(run: CapacityRun, replicas: int | None = None) -> Capacity:
    """The last stage before the first that was not kept. `replicas` where the run did not see them. Raises BadInput where there is none."""
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
    # Only a breach, or an unanswered rest, shows a limit of the service: void and too few show nothing of it.
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
    """Why the first stage gives no capacity: the service's limit, the generator's, or too little time."""
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
    """Replicas that carry a load with HEADROOM; never fewer than two, so that one can go."""
    return max(2, math.ceil(load_per_second / (per_replica * HEADROOM)))


def usd_per_million(usd_a_month: float, load_per_second: float) -> float:
    """Dollars for a million questions at this load, day and night."""
    return usd_a_month / (load_per_second * SECONDS_A_MONTH) * 1e6


def good_answers_per_usd(goodput_per_second: float, usd_a_month: float) -> float:
    """Answers within every limit for a dollar, at the knee, day and night."""
    return goodput_per_second * SECONDS_A_MONTH / usd_a_month


def target_cpu_percent(found: Capacity, cpu_request: float) -> int | None:
    """The autoscaler's target, in percent of the pod's request: HEADROOM of the CPU that a replica used at its limit, to 5 %. None: not measured."""
    if found.cpu_per_replica is None:
        return None
    return max(10, round(found.cpu_per_replica * HEADROOM / cpu_request * 20) * 5)
