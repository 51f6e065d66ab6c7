"""What a load test measured, as data: counts with histograms, windows of time, stages. `result.json` is one `LoadTestResult`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise
from typing import Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field

from loadtests.shapes import ShapeStage

TOP_K: Final = 10  # hits of a search
SEARCH: Final = "search"
FIRST_EVENT: Final = "ask, first event"  # from the request to the first event: every ask has one, or a failure
FIRST_TOKEN: Final = "ask, first token"  # noqa: S105
BETWEEN_TOKENS: Final = "ask, between tokens"  # one sample for each gap between two tokens (inter-token latency)
END: Final = "ask, end"  # of begun streams whose reader stayed; a failure is a broken stream
LEFT: Final = "ask, left"  # the reader went away on purpose
SENT: Final = "document, sent"
FINDABLE: Final = "document, findable"
LOOKED_UP: Final = "document, looked up"
REMOVED: Final = "document, removed"
HEALTH: Final = "health"
ASKING: Final = (FIRST_EVENT, FIRST_TOKEN, BETWEEN_TOKENS, END, LEFT)  # everything that one ask may count as
UPLOADING: Final = (SENT, LOOKED_UP, FINDABLE, REMOVED)
QUESTIONS: Final = (SEARCH, FIRST_EVENT)  # one sample for each question that somebody asked


# void: the generator was the limit; failed: the load test itself.
Outcome = Literal["kept", "breached", "too few", "void", "failed"]


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


class GeneratorHealth(_Data):
    """What the load generator knows of itself, all processes together: whether it kept its own times, and what it sent.

    `sent`, `answered`: requests by name; answered is every HTTP status, whatever it said. `not_sent`: reasons of the generator's own, such as no file
    descriptors. `late_ms`: from when a request was due to when it was sent. `lag_ms`: by how much a greenlet that slept was woken late.
    `good`: questions answered within every limit. `streams`: open at the end. `cpu_percent`: of the busiest process, at the end. `died`: greenlets.
    """

    sent: dict[str, int] = Field(default_factory=dict)
    answered: dict[str, int] = Field(default_factory=dict)
    not_sent: dict[str, int] = Field(default_factory=dict)
    late_ms: dict[int, int] = Field(default_factory=dict)
    lag_ms: dict[int, int] = Field(default_factory=dict)
    between_tokens_ms: dict[int, int] = Field(default_factory=dict)
    server_ms: dict[str, float] = Field(default_factory=dict)  # Server-Timing's durations by name, added up
    server_timed: int = 0  # answers that carried the header
    good: int = 0
    tokens: int = 0
    died: int = 0
    streams: int = 0
    cpu_percent: float = 0.0

    def plus(self, other: GeneratorHealth, sign: int = 1) -> GeneratorHealth:
        """Everything that is counted, added up; what is a state (`streams`, `cpu_percent`) is this one's."""
        changed: dict[str, Any] = {}
        for name in TALLIES:
            mine, more = getattr(self, name), getattr(other, name)
            changed[name] = {key: value for key in {**mine, **more} if (value := mine.get(key, 0) + sign * more.get(key, 0))}
        for name in COUNTERS:
            changed[name] = getattr(self, name) + sign * getattr(other, name)
        return self.model_copy(update=changed)

    def minus(self, before: GeneratorHealth) -> GeneratorHealth:
        return self.plus(before, -1)

    @property
    def late_p99_ms(self) -> float | None:
        """The worse of dispatch lateness and event loop lag; None where nothing was sampled."""
        found = [Count(ms=one).percentile_ms(0.99) for one in (self.late_ms, self.lag_ms)]
        return max((one for one in found if one is not None), default=None)


TALLIES: Final = ("sent", "answered", "not_sent", "late_ms", "lag_ms", "between_tokens_ms", "server_ms")
COUNTERS: Final = ("good", "tokens", "died", "server_timed")


class RunSample(_Data):
    """Everything counted since the start, at one moment. `stage`: None before the first (warm-up) and when the shape is over."""

    at_seconds: float
    stage: int | None
    users: int
    counts: dict[str, Count]
    generator: GeneratorHealth = Field(default_factory=GeneratorHealth)
    repetition: int = 0


class MeasuredWindow(_Data):
    """What was counted between two samples. `warm_up`: kept apart, in no total and no verdict."""

    from_seconds: float
    to_seconds: float
    stage: int | None
    users: int
    counts: dict[str, Count]
    generator: GeneratorHealth = Field(default_factory=GeneratorHealth)
    repetition: int = 0
    warm_up: bool = False

    @property
    def seconds(self) -> float:
        return self.to_seconds - self.from_seconds


class ServiceObservation(_Data):
    """What the operator's command saw of the service at one moment: shares of the load balancer, processes, CPU seconds they have used."""

    at: float  # Unix seconds
    weights: dict[str, int] = Field(default_factory=dict)
    replicas: int | None = None
    cpu_seconds: float | None = None
    cpu: dict[str, float] = Field(default_factory=dict)  # CPU seconds used so far, by part: app, engine, database


class FailureCount(_Data):
    requests: str
    reason: str
    count: int


class TaskException(_Data):
    """An exception that a user's task let through and Locust caught: the load test's own mistake, so the run has failed."""

    message: str
    count: int


class Interval(_Data):
    """A mean with its 95 % confidence interval (Student's t) over `repetitions`; one repetition has no interval."""

    mean: float
    low: float | None
    high: float | None
    repetitions: int


class StageResult(_Data):
    """One stage of all repetitions, without its first seconds. `offered_per_second` None: users, not arrivals. `cpu_per_replica`: cores in use.

    `goodput`: questions a second that were answered within every limit. `why`: in words, where the stage is void or breached.
    """

    level: int
    seconds: float
    offered_per_second: float | None
    questions_per_second: float
    outcome: Outcome
    why: str = ""
    goodput: Interval | None = None
    late_p99_ms: float | None = None
    generator_cpu_percent: float | None = None
    replicas: int | None = None
    cpu_per_replica: float | None = None
    cpu: dict[str, float] = Field(default_factory=dict)  # cores in use by part of the service: app, engine, database


class LoadTestResult(_Data):
    """One run. `about`: what the numbers hold for, for people."""

    version: int = 2
    shape: str
    kind: str  # users or arrivals
    plan: tuple[ShapeStage, ...]  # as it was run
    host: str
    began: float  # Unix seconds
    seconds: float
    about: dict[str, Any] = Field(default_factory=dict)
    warm_up_seconds: float = 0.0
    repeat: int = 1
    each_stage: bool = False
    sends: tuple[str, ...] = ()  # names of requests that its users may send; empty: any
    windows: list[MeasuredWindow]
    failures: list[FailureCount] = Field(default_factory=list)
    exceptions: list[TaskException] = Field(default_factory=list)
    lost_workers: int = 0
    interrupted: bool = False
    seen: list[ServiceObservation] = Field(default_factory=list)
    verdicts: list[dict[str, Any]] = Field(default_factory=list)
    stages: list[StageResult] = Field(default_factory=list)
    goodput: Interval | None = None  # at the knee of a step run, else over the whole run
    goodput_level: int | None = None  # the stage that it was measured in
    bottleneck: str = ""
    outcome: str = ""
    why: str = ""

    @property
    def totals(self) -> dict[str, Count]:
        """All but the warm-up."""
        return total(one for one in self.windows if not one.warm_up)

    @property
    def judged_seconds(self) -> float:
        """How long that took, without the wait for the last answers."""
        return max(0.0, self.seconds - sum(one.seconds for one in self.windows if one.warm_up))

    @property
    def generator(self) -> GeneratorHealth:
        """What the generator did in the whole run, the warm-up included: a server that counts has seen that, too."""
        return generator_health(self.windows)


BOUNDARY_SECONDS: Final = 0.05  # a sample is taken that near to the moment it was meant for


def windows(samples: Sequence[RunSample], warm_up_seconds: float = 0.0) -> list[MeasuredWindow]:
    """Between each two samples; a window belongs to the stage in which it began: one is sampled at the end of each stage."""
    found = []
    for before, after in pairwise(samples):
        counts = {name: count.minus(before.counts.get(name) or Count()) for name, count in after.counts.items()}
        found.append(MeasuredWindow(from_seconds=before.at_seconds, to_seconds=after.at_seconds, stage=before.stage, users=after.users,
                            counts={name: count for name, count in counts.items() if count.requests or count.failed},
                            generator=after.generator.minus(before.generator), repetition=before.repetition,
                            warm_up=before.at_seconds < warm_up_seconds - BOUNDARY_SECONDS))  # fmt: skip
    return found


def generator_health(parts: Iterable[MeasuredWindow]) -> GeneratorHealth:
    """What the generator did in many windows together; its CPU is the highest of them."""
    found, busiest = GeneratorHealth(), 0.0
    for part in parts:
        found, busiest = found.plus(part.generator), max(busiest, part.generator.cpu_percent)
    return found.model_copy(update={"cpu_percent": busiest})


def total(parts: Iterable[MeasuredWindow]) -> dict[str, Count]:
    """The counts of many windows together."""
    found: dict[str, Count] = {}
    for part in parts:
        for name, count in part.counts.items():
            found[name] = found.get(name, Count()).plus(count)
    return found
