"""The state of a running drill: the stack, its users, the runbook, and the measurements so far."""

from __future__ import annotations

import subprocess
import threading
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from teal import runbook
from teal.drill.stack import DrillStack
from teal.drill.users import SimulatedUsers
from teal.errors import OperatorError
from teal.runbook import BlockResult, Runbook

BLOCK_SECONDS = 240.0  # the longest is a whole release, 60 s on two idle cores
VERIFY_SECONDS = 20.0  # app processes ask a part that was away again after 5 s
POLL_SECONDS = 0.1
Whole = Callable[[], bool]
Ground = Literal["plain", "small disk", "elasticsearch", "model"]


class CouldNotRun(OperatorError):
    """The drill needs something that this machine does not have. It does not count as passed."""

    code = "drill-could-not-run"


class DrillFailed(OperatorError):
    """The runbook did not repair the fault that it is written for."""

    code = "drill-failed"


@dataclass
class Scene:
    """A running drill. `variables`: set for the runbook's blocks, besides the stack's environment.
    `fault_at`: Unix seconds; 0.0 before the fault."""

    stack: DrillStack
    users: SimulatedUsers
    book: Runbook
    folder: Path
    key: str
    key_id: str
    fault_at: float = 0.0
    variables: dict[str, str] = field(default_factory=dict)
    ran: list[BlockResult] = field(default_factory=list)
    marks: dict[str, float] = field(default_factory=dict)  # Unix seconds
    stopped: str = ""  # why `--stop-when` ended the drill; empty while nothing did

    def stop(self, why: str) -> None:
        """End the drill at its next check: the fault is undone, and no further block is run."""
        self.stopped = why

    def go_on(self) -> None:
        """Raise DrillFailed if the drill was stopped."""
        if self.stopped:
            raise DrillFailed(self.stopped, where=f"drill on {self.stack.home}", next="teal status")

    def strike(self) -> None:
        """Note this moment as the beginning of the fault."""
        self.fault_at = self.marks["fault"] = time.time()

    def block(self, name: str) -> BlockResult:
        """Run a block of the runbook. Raises DrillFailed when it fails, except under Diagnosis:
        such a block may fail because of the fault.

        A block under Verification is repeated for VERIFY_SECONDS, because the service notices a repaired part some seconds later.
        """
        self.go_on()
        wanted = runbook.find_block(self.book, name)
        self.marks[name] = began = time.time()
        while True:
            done = runbook.run_block(wanted, self.stack.env() | self.variables, self.folder, timeout_seconds=BLOCK_SECONDS)
            self.ran.append(done)
            if done.exit_code == 0 or wanted.section != "Verification" or time.time() - began > VERIFY_SECONDS:
                break
        if done.exit_code != 0 and wanted.section != "Diagnosis":
            last = (done.said.strip().splitlines() or ["it said nothing"])[-1]
            how = f"ended with {done.exit_code}" if done.exit_code is not None else f"did not end within {BLOCK_SECONDS:.0f} s"
            raise DrillFailed(f"Block {name} {how}: {last[:300]}", where=f"runbooks/{self.book.slug}.md:{wanted.line}",
                              next="read what it printed in the drill's page, and mend the runbook or what it works on")  # fmt: skip
        return done


@dataclass(frozen=True)
class Drill:
    """A planned fault. `cause` brings it about, calls `strike` at that moment, yields a check that all is repaired, and always
    undoes it at the end. `after`: functions called after a block.
    `destructive`: the service or its data is unavailable for a while."""

    name: str
    fault: str
    runbook: str
    cause: Callable[[Scene], AbstractContextManager[Whole]]
    blocks: tuple[str, ...]
    ground: Ground = "plain"
    after: tuple[tuple[str, Callable[[Scene, BlockResult], None]], ...] = ()
    destructive: bool = True
    keep_alive: bool = True  # False: users open a connection for each request


def condition_holds(there: Whole) -> bool:
    """Whether the condition holds; False when its part cannot be reached."""
    try:
        return there()
    except (OperatorError, OSError):
        return False


def wait_until(there: Whole, *, what: str, seconds: float, alive: subprocess.Popen[str] | None = None) -> None:
    """Poll until the condition holds. Raises DrillFailed after `seconds`, or when the process `alive`,
    which should make it hold, has ended."""
    deadline = time.monotonic() + seconds
    while not condition_holds(there):
        if alive is not None and alive.poll() is not None:
            raise DrillFailed(
                f"Waiting for {what}: the command ended with {alive.returncode}", where="the drill", next="teal history"
            )
        if time.monotonic() > deadline:
            raise DrillFailed(f"Waited {seconds:.0f} s for {what}", where="the drill", next="teal status")
        time.sleep(POLL_SECONDS)


class RecoveryProbe(threading.Thread):
    """Checks in a thread, while the runbook is followed, whether all is repaired; keeps the first
    moment when it was (Unix seconds; 0.0 until then)."""

    def __init__(self, whole: Whole) -> None:
        super().__init__(name="whole", daemon=True)
        self.at = 0.0
        self._whole = whole
        self._stopped = threading.Event()

    def run(self) -> None:
        while not self._stopped.wait(POLL_SECONDS):
            if condition_holds(self._whole):
                self.at = time.time()
                return

    def stop(self) -> None:
        self._stopped.set()
        self.join()
