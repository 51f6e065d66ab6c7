"""The measurements of a load test as data: counts with histograms, windows of time, stages.
`result.json` is one `LoadTestResult`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise
from typing import Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field

from loadtests.shapes import ShapeStage

TOP_K: Final = 10  # hits of a search
SEARCH: Final = "search"
FIRST_EVENT: Final = "ask, first event"  # from the request to the first event; every ask counts here, as a success or a failure
FIRST_TOKEN: Final = "ask, first token"  # noqa: S105
BETWEEN_TOKENS: Final = "ask, between tokens"  # one sample for each gap between two tokens (inter-token latency)
END: Final = "ask, end"  # streams whose reader stayed to the end; a failure is a broken stream
LEFT: Final = "ask, left"  # streams that the reader left on purpose
SENT: Final = "document, sent"
FINDABLE: Final = "document, findable"
LOOKED_UP: Final = "document, looked up"
REMOVED: Final = "document, removed"
HEALTH: Final = "health"
ASKING: Final = (FIRST_EVENT, FIRST_TOKEN, BETWEEN_TOKENS, END, LEFT)  # all names under which one ask may count
UPLOADING: Final = (SENT, LOOKED_UP, FINDABLE, REMOVED)
QUESTIONS: Final = (SEARCH, FIRST_EVENT)  # these have one sample for each question


# void: the generator was the limit; failed: the load test itself failed.
Outcome = Literal["kept", "breached", "too few", "void", "failed"]


class _Data(BaseModel):
    model_config = ConfigDict(extra="forbid")


class Count(_Data):
    """Requests of one name. `ms`: number of requests by milliseconds, which Locust rounds to two digits (147 is 150).
    Failed ones are included."""

    requests: int = 0
    failed: int = 0
    ms: dict[int, int] = Field(default_factory=dict)

    def later_than(self, limit_ms: float) -> int:
        return sum(count for taken, count in self.ms.items() if taken > limit_ms)

    def percentile_ms(self, share: float) -> float | None:
        """The milliseconds within which this share of the requests ended; None without requests."""
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
    """The load generator's observations of itself, for all processes together: its punctuality, and what it sent.

    `sent`, `answered`: requests by name; any HTTP status counts as answered. `not_sent`: by reason, when the generator could not
    send, such as without free file descriptors. `late_ms`: time from a request's due time to its sending. `lag_ms`: how late a
    sleeping greenlet was woken. `good`: questions answered within every limit. `streams`: open at the end. `cpu_percent`: of the
    busiest process, at the end. `died`: greenlets that died. `covered_seconds`: the time until the latest report, averaged over the
    workers, which report every 3 s; in one process the time until now.
    """

    sent: dict[str, int] = Field(default_factory=dict)
    answered: dict[str, int] = Field(default_factory=dict)
    not_sent: dict[str, int] = Field(default_factory=dict)
    late_ms: dict[int, int] = Field(default_factory=dict)
    lag_ms: dict[int, int] = Field(default_factory=dict)
    between_tokens_ms: dict[int, int] = Field(default_factory=dict)
    server_ms: dict[str, float] = Field(default_factory=dict)  # Server-Timing's durations by name, added up
    server_timed: int = 0  # answers with that header
    covered_seconds: float = 0.0
    good: int = 0
    tokens: int = 0
    died: int = 0
    streams: int = 0
    cpu_percent: float = 0.0

    def plus(self, other: GeneratorHealth, sign: int = 1) -> GeneratorHealth:
        """The sum of all counts; the states (`streams`, `cpu_percent`) are taken from this object."""
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
COUNTERS: Final = ("good", "tokens", "died", "server_timed", "covered_seconds")


class RunSample(_Data):
    """Everything counted since the start, at one moment. `stage`: None before the first (warm-up) and when the shape is over."""

    at_seconds: float
    stage: int | None
    users: int
    counts: dict[str, Count]
    generator: GeneratorHealth = Field(default_factory=GeneratorHealth)
    repetition: int = 0


class MeasuredWindow(_Data):
    """The counts between two samples. `warm_up`: shown separately, and not in totals and verdicts."""

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
    """What the operator's command observed at one moment:
    the load balancer's shares, the processes, and their CPU seconds so far."""

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
    """An exception that a user's task raised and Locust caught. It is an error of the load test itself, so the run has failed."""

    message: str
    count: int


class Interval(_Data):
    """A mean with its 95 % confidence interval (Student's t) over `repetitions`; one repetition has no interval."""

    mean: float
    low: float | None
    high: float | None
    repetitions: int


class Drain(_Data):
    """The wait between two climbs, until no request was in flight and the probes were answered within their limit."""

    seconds: float
    drained: bool  # False: not within the longest wait, and the next climb began in the backlog of this one
    probe_ms: float | None  # of the last probe; None: it had no good answer


class Climb(_Data):
    """One repetition of a search for the limit. `broken_stage`: the number of the stage in which it ended early; None: it went through all.

    `drain`: the wait after it; None after the last one.
    """

    repetition: int
    broken_stage: int | None = None
    outcome: Outcome | None = None  # of that stage: breached or void
    why: str = ""
    drain: Drain | None = None


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
    """One run. `about`: what the numbers are valid for, as text for people."""

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
    climbs: list[Climb] = Field(default_factory=list)  # of a search for the limit
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
    goodput_level: int | None = None  # the stage in which `goodput` was measured
    bottleneck: str = ""
    outcome: str = ""
    why: str = ""

    @property
    def totals(self) -> dict[str, Count]:
        """The counts of the whole run without the warm-up."""
        return total(one for one in self.windows if not one.warm_up)

    @property
    def judged_seconds(self) -> float:
        """The duration of the run without the warm-up, the waits between repetitions and the wait for the last answers."""
        between = (
            one
            for one in self.windows
            if one.stage is None and not one.warm_up and one.from_seconds < self.seconds - BOUNDARY_SECONDS
        )
        waited = sum(min(one.to_seconds, self.seconds) - one.from_seconds for one in between)
        return max(0.0, self.seconds - waited - sum(one.seconds for one in self.windows if one.warm_up))

    @property
    def generator(self) -> GeneratorHealth:
        """The generator's health over the whole run. It includes the warm-up, as the service's own counters do."""
        return generator_health(self.windows)


BOUNDARY_SECONDS: Final = 0.05  # how much a sample may differ from its planned time


def windows(samples: Sequence[RunSample], warm_up_seconds: float = 0.0) -> list[MeasuredWindow]:
    """The windows between each two samples. A window belongs to the stage in which it began;
    a sample is taken at the end of each stage."""
    found = []
    for before, after in pairwise(samples):
        counts = {name: count.minus(before.counts.get(name) or Count()) for name, count in after.counts.items()}
        found.append(MeasuredWindow(from_seconds=before.at_seconds, to_seconds=after.at_seconds, stage=before.stage, users=after.users,
                            counts={name: count for name, count in counts.items() if count.requests or count.failed},
                            generator=after.generator.minus(before.generator), repetition=before.repetition,
                            warm_up=before.at_seconds < warm_up_seconds - BOUNDARY_SECONDS))  # fmt: skip
    return found


def generator_health(parts: Iterable[MeasuredWindow]) -> GeneratorHealth:
    """The generator's health over many windows; its CPU is the highest of them."""
    found, busiest = GeneratorHealth(), 0.0
    for part in parts:
        found, busiest = found.plus(part.generator), max(busiest, part.generator.cpu_percent)
    return found.model_copy(update={"cpu_percent": busiest})


def covered_seconds(parts: Sequence[MeasuredWindow]) -> float:
    """How many seconds the counts of these windows cover: divided by it, counts are rates. Files written before 2026-12 lack this
    number; then the windows' own length is used, which may differ from it by 3 s."""
    return sum(one.generator.covered_seconds for one in parts) or sum(one.seconds for one in parts)


def total(parts: Iterable[MeasuredWindow]) -> dict[str, Count]:
    """The counts of many windows together."""
    found: dict[str, Count] = {}
    for part in parts:
        for name, count in part.counts.items():
            found[name] = found.get(name, Count()).plus(count)
    return found
