"""What a load test measured, as data: counts with histograms, windows of time, stages. `result.json` is one `Result`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise
from typing import Any, Final

from pydantic import BaseModel, ConfigDict, Field

from loadtests.shapes import Stage

TOP_K: Final = 10  # hits of a search
SEARCH: Final = "search"
FIRST_EVENT: Final = "ask, first event"  # from the request to the first event: every ask has one, or a failure
FIRST_TOKEN: Final = "ask, first token"  # noqa: S105
END: Final = "ask, end"  # of begun streams whose reader stayed; a failure is a broken stream
LEFT: Final = "ask, left"  # the reader went away on purpose
SENT: Final = "document, sent"
FINDABLE: Final = "document, findable"
REMOVED: Final = "document, removed"
HEALTH: Final = "health"
QUESTIONS: Final = (SEARCH, FIRST_EVENT)  # one sample for each question that somebody asked


class _Data(BaseModel):
    model_config = ConfigDict(extra="forbid")


class Count(_Data):
    """Requests of one name. `ms`: how many took so long; Locust rounds to two digits (147 is 150). A failed one is in both numbers."""

    requests: int = 0
    failed: int = 0
    ms: dict[int, int] = Field(default_factory=dict)

    def later_than(self, limit_ms: float) -> int:
        return sum(count for taken, count in self.ms.items() if taken > limit_ms)

    def percentile_ms(self, share: float) -> float | None:
        """Within which this share of the requests ended; None without requests."""
        left = share * sum(self.ms.values())
        for taken in sorted(self.ms):
            left -= self.ms[taken]
            if left <= 1e-9:
                return float(taken)
        return None

    def minus(self, before: Count) -> Count:
        ms = {taken: more for taken, count in self.ms.items() if (more := count - before.ms.get(taken, 0))}
        return Count(requests=self.requests - before.requests, failed=self.failed - before.failed, ms=ms)

    def plus(self, other: Count) -> Count:
        ms = dict(Counter(self.ms) + Counter(other.ms))
        return Count(requests=self.requests + other.requests, failed=self.failed + other.failed, ms=ms)


Counts = Mapping[str, Count]


class Sample(_Data):
    """Everything counted since the start, at one moment. `stage`: None when the shape is over."""

    at_seconds: float
    stage: int | None
    users: int
    counts: dict[str, Count]


class Window(_Data):
    """What was counted between two samples."""

    from_seconds: float
    to_seconds: float
    stage: int | None
    users: int
    counts: dict[str, Count]

    @property
    def seconds(self) -> float:
        return self.to_seconds - self.from_seconds


class Seen(_Data):
    """What the operator's command saw of the service at one moment: shares of the load balancer, processes, CPU seconds they have used."""

    at: float  # Unix seconds
    weights: dict[str, int] = Field(default_factory=dict)
    replicas: int | None = None
    cpu_seconds: float | None = None


class Failure(_Data):
    requests: str
    reason: str
    count: int


class StageResult(_Data):
    """One stage without its first seconds. `offered_per_second` None: users, not arrivals. `cpu_per_replica`: cores in use."""

    level: int
    seconds: float
    offered_per_second: float | None
    questions_per_second: float
    outcome: str
    replicas: int | None = None
    cpu_per_replica: float | None = None


class Result(_Data):
    """One run. `about`: what the numbers hold for, for people."""

    version: int = 1
    shape: str
    kind: str  # users or arrivals
    plan: tuple[Stage, ...]  # as it was run
    host: str
    began: float  # Unix seconds
    seconds: float
    about: dict[str, Any] = Field(default_factory=dict)
    windows: list[Window]
    failures: list[Failure] = Field(default_factory=list)
    seen: list[Seen] = Field(default_factory=list)
    verdicts: list[dict[str, Any]] = Field(default_factory=list)
    stages: list[StageResult] = Field(default_factory=list)
    outcome: str = ""

    @property
    def totals(self) -> dict[str, Count]:
        return total(self.windows)


def windows(samples: Sequence[Sample]) -> list[Window]:
    """Between each two samples; a window belongs to the stage in which it began: one is sampled at the end of each stage."""
    found = []
    for before, after in pairwise(samples):
        counts = {name: count.minus(before.counts.get(name) or Count()) for name, count in after.counts.items()}
        found.append(Window(from_seconds=before.at_seconds, to_seconds=after.at_seconds, stage=before.stage, users=after.users,
                            counts={name: count for name, count in counts.items() if count.requests or count.failed}))  # fmt: skip
    return found


def total(parts: Iterable[Window]) -> dict[str, Count]:
    """The counts of many windows together."""
    found: dict[str, Count] = {}
    for part in parts:
        for name, count in part.counts.items():
            found[name] = found.get(name, Count()).plus(count)
    return found
