"""One drill while it runs: the stack, its users, the runbook, and what is known so far."""

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
    """What the drill needs is not on this machine. That is no pass."""

    code = "drill-could-not-run"


class DrillFailed(OperatorError):
    """The runbook did not repair the fault that it is written for."""

    code = "drill-failed"


@dataclass
class Scene:
    """`variables`: what the runbook's blocks see besides the stack's environment. `fault_at`: Unix seconds, 0.0 before it."""

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
        """End the drill at its next look: what it broke is mended, and no further block is run."""
        self.stopped = why

    def go_on(self) -> None:
        """Raises DrillFailed once the drill was stopped."""
        if self.stopped:
            raise DrillFailed(self.stopped, where=f"drill on {self.stack.home}", next="teal status")

    def strike(self) -> None:
        """Note this moment as the beginning of the fault."""
        self.fault_at = self.marks["fault"] = time.time()

    def block(self, name: str) -> BlockResult:
        """Run a block of the runbook. Raises DrillFailed when it fails, unless it only looks: what is broken may say so.

        One that verifies is run again for VERIFY_SECONDS, as a person would: a part that is back is noticed some seconds later.
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
    """`cause`: brings the fault, calls `strike` at its moment, yields what tells that everything is whole again, and undoes the fault at
    the end whatever happened. `after`: what happens once a block is done. `destructive`: a service or data is away for a while."""

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
    """Whether the condition holds. When what it looks at cannot be reached, it does not."""
    try:
        return there()
    except (OperatorError, OSError):
        return False


def wait_until(there: Whole, *, what: str, seconds: float, alive: subprocess.Popen[str] | None = None) -> None:
    """Ask again and again until the condition holds. Raises DrillFailed when the time is over, or when the process that should make it hold has ended."""
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
    """Looks whether all is whole, beside the runbook: the moment it was first true, in Unix seconds; 0.0 until then."""

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
