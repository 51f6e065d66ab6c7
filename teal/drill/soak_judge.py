"""What a soak measured, and whether it passes. Pure functions, and the schedule of faults from a seed."""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, Final

from teal.drill.flat import Growth, Sample
from teal.drill.measure import DrillLimits
from teal.drill.scene import Drill
from teal.drill.users import UserRequest

CALM_SECONDS: Final = (15.0, 45.0)  # between two faults: long enough that the next one meets a whole stack
LAST_SHARE: Final = 1 / 3  # of the soak, without a fault: every process then settles, and what grows grows by itself
JUDGED_MINUTES: Final = 20.0  # in a shorter soak the last third is too short for a process to settle and be measured
MINUTE_SECONDS: Final = 60.0
KEPT: Final = 20  # failures that are told in full


@dataclass(frozen=True, slots=True)
class SoakFault:
    """One fault of a soak. Times are Unix seconds; `mended_at`: 0.0 when it never was. `failure`: why its runbook did not mend it.
    `answered_seconds`: the drill's RTO for users. 0 means that no request may fail, so that such a fault explains none."""

    drill: str
    began_at: float
    mended_at: float
    ended_at: float
    answered_seconds: float
    failure: str = ""

    def explains(self, request: UserRequest) -> bool:
        """Whether the request was under way between the beginning of the fault and its mending plus RTO."""
        until = (self.mended_at or self.ended_at) + self.answered_seconds
        return self.answered_seconds > 0 and request.ended >= self.began_at and request.at <= until


@dataclass(frozen=True, slots=True)
class Unexplained:
    """A request that failed without a fault that explains it. `at`: Unix seconds; `minute`: of the soak, from 0."""

    at: float
    minute: int
    kind: str
    why: str


@dataclass(frozen=True, slots=True)
class SoakResult:
    """A soak's measurements. `doubled`: documents that search or the catalog has more than once. `stopped`: why it ended before its time.
    `loads`: load averages over a minute, at the beginning, the highest, and at the end."""

    seed: int
    began: str  # ISO, UTC
    minutes: float  # as asked for
    ran_seconds: float
    per_second: float
    faults: tuple[SoakFault, ...]
    requests: int
    failed_requests: int
    degraded_minutes: int
    unexplained: tuple[Unexplained, ...]
    documents: int
    lost: tuple[str, ...]
    doubled: int
    growths: tuple[Growth, ...]
    left_processes: int
    loads: tuple[float, float, float]
    p50_seconds: float = 0.0
    p99_seconds: float = 0.0
    p99_late_seconds: float = 0.0
    stopped: str = ""
    samples: tuple[Sample, ...] = ()

    @property
    def reasons(self) -> tuple[str, ...]:
        """Why the soak does not pass; empty when it does."""
        said = [f"it ended after {self.ran_seconds / 60:.1f} of {self.minutes:g} min: {self.stopped}"] if self.stopped else []
        if not self.faults:
            said.append("no fault was caused")
        said += [f"the runbook of {one.drill} did not mend it: {one.failure}" for one in self.faults if one.failure]
        if self.lost:
            said.append(f"{len(self.lost)} of {self.documents} acknowledged documents are lost")
        if self.doubled:
            said.append(f"{self.doubled} documents are there more than once")
        if minutes := sorted({one.minute for one in self.unexplained}):
            said.append(f"requests failed in minutes that no fault explains: {', '.join(map(str, minutes))}")
        if self.memory_is_judged:
            said += [reason for growth in self.growths for reason in growth.reasons]
            said += [
                f"{one.part}: no process lived long enough to judge its {one.quantity}" for one in self.growths if not one.judged
            ]
        if self.left_processes:
            said.append(f"{self.left_processes} processes of the stack were left over")
        return tuple(said)

    @property
    def memory_is_judged(self) -> bool:
        return self.ran_seconds >= JUDGED_MINUTES * MINUTE_SECONDS

    def fields(self) -> dict[str, Any]:
        """JSON-ready, without the samples."""
        told = asdict(replace(self, samples=())) | {
            "growths": [one.fields() for one in self.growths],
            "memory_is_judged": self.memory_is_judged,
        }
        del told["samples"]
        return told | {"passed": not self.reasons, "reasons": self.reasons}


def eligible(drills: Sequence[Drill], targets: Mapping[str, DrillLimits]) -> tuple[Drill, ...]:
    """The drills that a soak may cause: those that need nothing special, and by which no acknowledged document may be lost."""
    return tuple(one for one in drills if one.ground == "plain" and targets[one.name].lost_documents == 0)


def fault_plan(drills: Sequence[Drill], seed: int) -> Iterator[tuple[float, Drill]]:
    """Without end: seconds of calm, and the drill after them. The same seed gives the same sequence.
    Each drill comes once, in random order, before any comes again."""
    chance = random.Random(seed)  # noqa: S311 - no secret: a sequence that can be repeated
    while drills:
        for drill in chance.sample(drills, len(drills)):
            yield chance.uniform(*CALM_SECONDS), drill


def unexplained_failures(
    requests: Sequence[UserRequest], faults: Sequence[SoakFault], began_at: float
) -> tuple[Unexplained, ...]:
    """The failed requests that no fault explains, in the order of time."""
    bad = [one for one in requests if not one.good and not any(fault.explains(one) for fault in faults)]
    return tuple(Unexplained(one.at, _minute(one, began_at), one.kind, one.why) for one in sorted(bad, key=lambda one: one.at))


def degraded_minutes(requests: Sequence[UserRequest], began_at: float) -> int:
    """In how many minutes at least one request failed."""
    return len({_minute(one, began_at) for one in requests if not one.good})


def _minute(request: UserRequest, began_at: float) -> int:
    return int((request.at - began_at) // MINUTE_SECONDS)
