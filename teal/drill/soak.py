"""A soak: random faults out of the catalogue of drills under steady load, for a long time. At the end everything that was promised is checked.

Each fault is mended by its runbook, as in a drill. The stack is a new one with a folder and ports of its own.
"""

from __future__ import annotations

import os
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import psutil

from teal import runbook
from teal.drill.catalogue import DRILLS
from teal.drill.findable import documents_not_found, every_question_finds_something, times_found
from teal.drill.flat import Sample, growths
from teal.drill.measure import DrillLimits
from teal.drill.run import DrillRequest, go_through, open_ground, runbook_variables
from teal.drill.scene import Drill, Scene, condition_holds, wait_until
from teal.drill.soak_judge import (
    LAST_SHARE,
    MINUTE_SECONDS,
    SoakFault,
    SoakResult,
    degraded_minutes,
    eligible,
    fault_plan,
    unexplained_failures,
)
from teal.drill.stack import DrillStack
from teal.drill.users import SimulatedUsers, percentile
from teal.errors import OperatorError
from teal.events import Event
from teal.laptop import reap

SAMPLE_SECONDS: Final = 10.0  # six measurements in each minute of a process; one takes 0.1 s of a processor
TELL_SECONDS: Final = 30.0  # between two lines of progress while nothing else happens
POLL_SECONDS: Final = 0.5
FIND_SECONDS: Final = 120.0  # for the last accepted documents to be found, as after a restore just before the end
WHOLE_SECONDS: Final = 90.0  # for `teal up` to mend what a runbook did not
COLLECTION: Final = "soak"
# A process's cache of answers is full within its warm-up; at its usual 32 MB its filling would look like a leak for an hour.
SETTINGS: Final = {"TEAL_CACHE_BYTES": "1000000"}
Tell = Callable[[Event], None]


@dataclass(frozen=True, slots=True)
class SoakRequest:
    """`stop`: set from outside, it ends the soak after the fault that is under way. `judging`: set by the soak when only work
    is left that ends by itself and that nobody should interrupt."""

    minutes: float
    seed: int
    per_second: float
    stop: threading.Event = field(default_factory=threading.Event)
    judging: threading.Event = field(default_factory=threading.Event)


class ProcessWatch(threading.Thread):
    """Measures every process of the stack every SAMPLE_SECONDS, and the machine's load."""

    def __init__(self, stack: DrillStack) -> None:
        super().__init__(name="watch", daemon=True)
        self.samples: list[Sample] = []
        self.loads: list[float] = [os.getloadavg()[0]]
        self._stack = stack
        self._stopped = threading.Event()

    def run(self) -> None:
        while not self._stopped.wait(SAMPLE_SECONDS):
            self.loads.append(os.getloadavg()[0])
            for pid, part in self._stack.processes().items():
                with suppress(psutil.Error, OSError):  # it has ended meanwhile
                    process = psutil.Process(pid)
                    memory_mb = process.memory_full_info().uss / 1e6
                    self.samples.append(Sample(time.time(), part, pid, process.create_time(), memory_mb, process.num_fds()))

    def stop(self) -> None:
        self._stopped.set()
        self.join()


@dataclass
class _Soak:
    """A soak under way. `key`, `key_id`: of the users; a drill may replace them."""

    request: SoakRequest
    targets: Mapping[str, DrillLimits]
    tell: Tell
    stack: DrillStack
    users: SimulatedUsers
    key: str
    key_id: str
    began_at: float
    faults: list[SoakFault] = field(default_factory=list)
    stopped: str = ""

    @property
    def ends_at(self) -> float:
        return self.began_at + self.request.minutes * MINUTE_SECONDS

    def progress(self, step: str, detail: str) -> None:
        """Tell what happens, how long the soak has run, and what is left."""
        now = time.time()
        left = f"{max(0.0, self.ends_at - now) / 60:.1f} min left"
        met = self.users.met
        self.tell(Event(step, "progress", f"{detail}; {len(self.faults)} faults, {met.failed} of {met.sent} requests failed, {left}",
                        done=int(now - self.began_at), total=int(self.ends_at - self.began_at)))  # fmt: skip

    def calm(self, until: float) -> bool:
        """Wait without a fault; returns whether the moment was reached before somebody asked to stop."""
        told_at = time.time()
        while time.time() < until:
            if self.request.stop.wait(POLL_SECONDS):
                self.stopped = "it was asked to stop"
                return False
            if time.time() - told_at >= TELL_SECONDS:
                self.progress("calm", "no fault")
                told_at = time.time()
        return True

    def cause_faults(self) -> None:
        """Cause one fault after the other, until the last part of the soak begins; then wait for its end."""
        last_at = self.began_at + (1 - LAST_SHARE) * self.request.minutes * MINUTE_SECONDS
        for calm_seconds, drill in fault_plan(eligible(DRILLS, self.targets), self.request.seed):
            if not self.calm(min(time.time() + calm_seconds, last_at)):
                return
            if time.time() >= last_at:
                self.calm(self.ends_at)
                return
            self.cause(drill)
            if self.faults[-1].failure and not self.mend():
                self.stopped = f"the stack could not be mended after {drill.name}"
                return

    def cause(self, drill: Drill) -> None:
        """Cause one fault and follow its runbook; also an interrupted one is noted."""
        self.progress(drill.name, drill.fault)
        target, began_at = self.targets[drill.name], time.time()
        mended_at, failure = 0.0, "it was interrupted"
        with tempfile.TemporaryDirectory(prefix=f"teal-soak-{drill.name}-") as folder:
            try:
                scene = Scene(self.stack, self.users, runbook.read_runbook(drill.runbook), Path(folder), self.key, self.key_id,
                              variables=runbook_variables(self.stack))  # fmt: skip
                mended_at, failure = go_through(drill, scene, target)
                self.key, self.key_id = scene.key, scene.key_id
                failure = failure or ("" if mended_at else "it was never whole again")
            except (OperatorError, OSError) as error:
                failure = error.what if isinstance(error, OperatorError) else str(error)
            finally:
                ended_at = time.time()
                self.faults.append(SoakFault(drill.name, began_at, mended_at, ended_at, target.answered_seconds, failure))
        self.progress(drill.name, failure or f"mended after {mended_at - began_at:.1f} s")

    def mend(self) -> bool:
        """Whether `teal up` makes the stack whole after a runbook that did not."""
        with suppress(OperatorError, OSError):
            self.stack.teal("up", "--no-corpus")
            wait_until(self.stack.healthy, what="the stack to be whole", seconds=WHOLE_SECONDS)
            return True
        return False


def run_soak(request: SoakRequest, targets: Mapping[str, DrillLimits], tell: Tell) -> SoakResult:
    """Run a soak on a new stack, which is stopped and removed at the end. KeyboardInterrupt ends it at once, with what was measured.
    Raises CouldNotRun when the stack does not start."""
    tell(Event("soak", "start", f"seed {request.seed}, {request.minutes:g} min; starting a stack"))
    began = datetime.now(UTC).isoformat(timespec="seconds")
    with open_ground("plain", DrillRequest(request.per_second, settings=SETTINGS)) as stack:
        tell(Event("stack", "ok", f"{stack.home}, port {stack.port}"))
        key, key_id = stack.new_key(name="soak")
        expect_hits = every_question_finds_something(stack.url, key, stack.layout.ca)
        users = stack.users((key,), per_second=request.per_second, expect_hits=expect_hits, collection=COLLECTION)
        watch = ProcessWatch(stack)
        soak = _Soak(request, targets, tell, stack, users, key, key_id, time.time())
        users.start()
        watch.start()
        try:
            soak.cause_faults()
        except KeyboardInterrupt:
            soak.stopped = "it was interrupted"
            with suppress(KeyboardInterrupt):  # once more: what is broken is measured as it is
                if not condition_holds(stack.healthy):
                    soak.mend()
        request.judging.set()
        ran_seconds = time.time() - soak.began_at
        users.stop()
        watch.stop()
        tell(
            Event(
                "judge",
                "start",
                f"searching for {len(users.met.accepted)} documents, {FIND_SECONDS:.0f} s at most for each not found at once",
            )
        )
        found = _measured(soak, watch, began, ran_seconds)
    return replace(found, left_processes=len(reap.find_leftovers(stack.layout)))


def _measured(soak: _Soak, watch: ProcessWatch, began: str, ran_seconds: float) -> SoakResult:
    met, stack = soak.users.met, soak.stack
    requests, accepted = list(met.requests), dict(met.accepted)
    lost = documents_not_found(stack.url, soak.key, stack.layout.ca, accepted, seconds=FIND_SECONDS)
    twice = sum(times > 1 for times in times_found(stack.url, soak.key, stack.layout.ca, accepted.values()).values())
    return SoakResult(
        seed=soak.request.seed,
        began=began,
        minutes=soak.request.minutes,
        ran_seconds=ran_seconds,
        per_second=soak.request.per_second,
        faults=tuple(soak.faults),
        requests=len(requests),
        failed_requests=met.failed,
        degraded_minutes=degraded_minutes(requests, soak.began_at),
        unexplained=unexplained_failures(requests, soak.faults, soak.began_at),
        documents=len(accepted),
        lost=tuple(sorted(lost)),
        doubled=max(twice, _surplus(soak)),
        growths=growths(watch.samples),
        left_processes=0,
        loads=(watch.loads[0], max(watch.loads), watch.loads[-1]),
        p50_seconds=percentile((one.seconds for one in requests if one.good), 0.5),
        p99_seconds=percentile((one.seconds for one in requests if one.good), 0.99),
        p99_late_seconds=percentile((one.late for one in requests), 0.99),
        stopped=soak.stopped,
        samples=tuple(watch.samples),
    )


def _surplus(soak: _Soak) -> int:
    """Documents in the catalog beyond those that were acknowledged. One that was sent without getting an answer may be among them."""
    unknown = Counter(one.kind for one in soak.users.met.requests if not one.good)["document"]
    with suppress(OperatorError), soak.stack.client() as client:
        counts = {str(row["name"]): int(row["documents"]) for row in client.get("/v1/collections")["items"]}
        return max(0, counts.get(COLLECTION, 0) - len(soak.users.met.accepted) - unknown)
    return 0
