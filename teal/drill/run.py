"""Runs drills: starts a stack for each kind of ground and users at a steady rate, causes the fault,
follows the runbook, measures."""

from __future__ import annotations

import shutil
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from itertools import groupby
from pathlib import Path

from teal import runbook
from teal.drill import disk
from teal.drill.file_faults import model_of
from teal.drill.findable import documents_not_found, every_question_finds_something
from teal.drill.measure import DrillLimits, DrillResult, answered_again, exceeded_limits, reached_back
from teal.drill.scene import CouldNotRun, Drill, Ground, RecoveryProbe, Scene
from teal.drill.stack import DrillStack, own
from teal.drill.users import UserResults, percentile
from teal.errors import OperatorError
from teal.events import Event
from teal.laptop import reap
from teal.laptop.loopback import free_ports
from teal.laptop.state import load_state
from teal.load import bystander
from teal.load.bystander import StopWhen
from teal.load.place import LoadTarget

CALM_SECONDS = 3.0  # without a failed request before the fault, and after the repair
SETTLE_SECONDS = 30.0  # the longest wait for CALM_SECONDS without a failed request
FIND_SECONDS = 60.0  # for accepted documents to be found: the backlog is indexed at 10 a second or more
POLL_SECONDS = 0.2
DISK_BYTES = 250_000_000  # a stack with an unpacked version, logs and a small corpus needs 30 MB
COLLECTION = "drill"
# These rules make a release take half a minute: a drill rehearses the procedure, not the waiting.
RULES = {"analysis_seconds": 5, "minimum_samples": 40, "hold_seconds": 4, "poll_seconds": 0.5, "jobs_seconds": 30, "lease_seconds": 20,
         "slo_seconds": 5, "paused_seconds": 30}  # fmt: skip


@dataclass(frozen=True, slots=True)
class DrillRequest:
    """How to run drills. `here`: on the running stack, instead of a new one. `stop_when`: a condition that ends a drill early.
    `settings`: environment variables of a new stack, besides those that every drill's stack has."""

    per_second: float
    here: DrillStack | None = None
    stop_when: StopWhen | None = None
    settings: Mapping[str, str] = field(default_factory=dict)


def rehearse(drills: Sequence[Drill], targets: Mapping[str, DrillLimits], request: DrillRequest) -> Iterator[Event | DrillResult]:
    """Run the drills; yields events and each result. Drills on the same ground share a stack as long as it works."""
    for ground, group in groupby(drills, key=lambda drill: drill.ground):
        waiting = list(group)
        while waiting:
            try:
                yield Event("stack", "start", f"starting one ({ground})" if request.here is None else "the running one")
                with open_ground(ground, request) as stack:
                    yield Event("stack", "ok", f"{stack.home}, port {stack.port}")
                    while waiting:
                        drill = waiting.pop(0)
                        yield Event(drill.name, "start", drill.fault)
                        yield (found := run_drill(drill, stack, targets[drill.name], request))
                        if found.verdict == "failed" and request.here is None:
                            break  # the next drill gets a new stack, whatever this one left
            except CouldNotRun as error:
                for drill in waiting:
                    yield DrillResult(
                        drill.name, drill.fault, drill.runbook, datetime.now(UTC).isoformat(), "could not run", (error.what,)
                    )
                waiting = []


def run_drill(drill: Drill, stack: DrillStack, target: DrillLimits, request: DrillRequest) -> DrillResult:
    """Run one drill on a running stack. Never raises OperatorError: a drill that cannot be finished has failed, and one whose
    fault needs something that the stack does not have could not run."""
    began, clock = datetime.now(UTC), time.monotonic()
    told = DrillResult(
        drill.name, drill.fault, drill.runbook, began.isoformat(timespec="seconds"), "failed", per_second=request.per_second
    )
    with tempfile.TemporaryDirectory(prefix=f"teal-drill-{drill.name}-") as folder:
        try:
            book = runbook.read_runbook(drill.runbook)
            key, key_id = stack.new_key(name=f"drill {drill.name}")
            expect_hits = every_question_finds_something(stack.url, key, stack.layout.ca)
        except OperatorError as error:
            return replace(told, reasons=(error.what,))
        users = stack.users((key,), per_second=request.per_second, keep_alive=drill.keep_alive, expect_hits=expect_hits,
                            collection=COLLECTION)  # fmt: skip
        scene = Scene(stack, users, book, Path(folder), key, key_id, variables=runbook_variables(stack))
        users.start()
        over = threading.Event()
        if request.stop_when is not None:
            place = LoadTarget(stack.url, (key,), stack.layout.ca)
            threading.Thread(target=bystander.probe, args=(place, request.stop_when, over, scene.stop), daemon=True).start()
        try:
            try:
                time.sleep(CALM_SECONDS)
                whole_at, failure = go_through(drill, scene, target)
            finally:
                over.set()
                met = users.stop()
            found = _measured(told, scene, met, whole_at, failure, target)
        except CouldNotRun as error:
            found = replace(told, verdict="could not run", reasons=(error.what,))
        finally:
            if request.here is not None:
                _tidy(scene, users.met)
        return replace(found, took_seconds=time.monotonic() - clock)


def runbook_variables(stack: DrillStack) -> dict[str, str]:
    """The shell variables that runbooks/README.md tells a person to set on a laptop."""
    return {"PORT": str(stack.port), "COLOR": str(stack.record().active), "SUPERVISOR": f"unix://{stack.layout.socket}"}


def go_through(drill: Drill, scene: Scene, target: DrillLimits) -> tuple[float, str]:
    """Cause the fault and follow the runbook.
    Returns when all was repaired (Unix seconds, 0.0: never) and why the drill failed, if it did. Raises CouldNotRun."""
    whole_at, failure = 0.0, ""
    try:
        with drill.cause(scene) as whole:
            recovery = RecoveryProbe(whole)
            recovery.start()
            try:
                for name in drill.blocks:
                    ran = scene.block(name)
                    for block, act in drill.after:
                        if block == name:
                            act(scene, ran)
                deadline = max(scene.fault_at + 2 * target.whole_seconds, time.time() + CALM_SECONDS)
                while recovery.is_alive() and time.time() < deadline:
                    scene.go_on()
                    time.sleep(POLL_SECONDS)
            finally:
                recovery.stop()
                whole_at = recovery.at
            if whole_at:
                scene.marks["whole"] = whole_at
        _settle(scene.users.met)
    except CouldNotRun:
        raise
    except OperatorError as error:
        failure = str(error.what)
    return whole_at, failure


def _settle(met: UserResults) -> None:
    """Wait until no request has failed for CALM_SECONDS; SETTLE_SECONDS at most."""
    deadline = time.time() + SETTLE_SECONDS
    begin = time.time()
    while time.time() < deadline:
        last = max((request.ended for request in list(met.requests) if not request.good), default=begin)
        if time.time() - max(last, begin) >= CALM_SECONDS:
            return
        time.sleep(POLL_SECONDS)


def _measured(
    told: DrillResult, scene: Scene, met: UserResults, whole_at: float, failure: str, target: DrillLimits
) -> DrillResult:
    fault_at = scene.fault_at or time.time()
    after = [request for request in met.requests if request.ended >= fault_at]
    first = min((request.at for request in met.requests), default=fault_at)
    left = dict(met.accepted)
    with suppress(OperatorError, OSError):
        left = documents_not_found(scene.stack.url, scene.key, scene.stack.layout.ca, met.accepted, seconds=FIND_SECONDS)
    found = replace(
        told,
        answered_seconds=answered_again(met.requests, fault_at),
        whole_seconds=whole_at - fault_at if whole_at else None,
        lost_documents=len(left),
        rpo_seconds=reached_back(met.requests, left, fault_at),
        documents=len(met.accepted),
        requests=len(after),
        failed_requests=sum(not request.good for request in after),
        broken_streams=met.broken_streams,
        p50_seconds=percentile((request.seconds for request in after), 0.5),
        p99_seconds=percentile((request.seconds for request in after), 0.99),
        p99_late_seconds=percentile((request.late for request in after), 0.99),
        worst_seconds=percentile((request.seconds for request in after), 1.0),
        failures=tuple(met.failures),
        blocks=tuple(replace(ran, said=ran.said.replace(scene.key, "(the key)")) for ran in scene.ran),
        marks={name: at - first for name, at in scene.marks.items()},
        timeline=tuple((round(one.at - first, 3), round(one.seconds, 4), one.good) for one in sorted(met.requests, key=lambda one: one.at)),
    )  # fmt: skip
    if failure:
        return replace(found, reasons=(failure, *exceeded_limits(found, target)))
    reasons = exceeded_limits(found, target)
    return replace(found, verdict="past" if reasons else "within", reasons=reasons)


def _tidy(scene: Scene, met: UserResults) -> None:
    """Remove the drill's documents and key from an operator's own stack."""
    with suppress(OperatorError), scene.stack.client() as client:
        for document in met.accepted:
            with suppress(OperatorError):
                client.delete(f"/v1/documents/{document}")
    with suppress(OperatorError):
        scene.stack.must("keys", "revoke", scene.key_id)


@contextmanager
def open_ground(ground: Ground, request: DrillRequest) -> Iterator[DrillStack]:
    """Yield a running stack that contains the drill's corpus. Raises CouldNotRun with the reason."""
    if request.here is not None:
        if ground == "small disk":
            raise CouldNotRun("a disk of this machine is not filled", where="--here", next="teal drill disk-full")
        if ground == "elasticsearch" and not request.here.pids("elasticsearch"):
            raise CouldNotRun("this stack runs no Elasticsearch", where="--here", next="teal drill elasticsearch")
        if ground == "model" and model_of(request.here) is None:
            raise CouldNotRun("this stack has no local model", where="--here", next="teal drill damaged-model")
        yield request.here
        return
    place = Path(tempfile.mkdtemp(prefix="teal-drill-"))
    stack = own(place / ".teal", free_ports(1)[0], RULES, model=ground == "model", settings=request.settings)
    try:
        with disk.small_disk(stack.home, DISK_BYTES) if ground == "small disk" else nullcontext():
            try:
                _begin(stack, ground)
                yield stack
            finally:
                _end(stack)
    except disk.NoSmallDisk as error:
        raise CouldNotRun("a small disk needs root, or sudo that asks no password, where mounting is allowed", where=str(stack.home),
                          next="teal drill disk-full, as root") from error  # fmt: skip
    finally:
        shutil.rmtree(place, ignore_errors=True)


def _begin(stack: DrillStack, ground: Ground) -> None:
    try:
        stack.up(*(("--search", "elasticsearch") if ground == "elasticsearch" else ()))
        stack.fill()
    except OperatorError as error:
        raise CouldNotRun(f"its stack did not start: {error.what}", where=error.where, next=error.next) from error
    if ground == "model" and model_of(stack) is None:
        raise CouldNotRun("the embedding model could not be fetched", where=str(stack.home), next="teal logs model")


def _end(stack: DrillStack) -> None:
    """Stop the stack, also when `teal down` fails, and remove the files that Elasticsearch made outside the stack's folder."""
    try:
        with suppress(OperatorError):
            stack.teal("down")
    finally:
        reap.end_leftovers(stack.layout)
    with suppress(OperatorError):
        state = load_state(stack.layout)
        if state is not None and state.elasticsearch_home is not None:
            shutil.rmtree(state.elasticsearch_home, ignore_errors=True)
