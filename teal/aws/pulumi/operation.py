"""Runs one operation of Pulumi's engine: yields its progress as events, and stops it when its events are no longer read."""

from __future__ import annotations

import atexit
import queue
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final

import psutil

from teal.errors import HeldByAnother, OperatorError
from teal.events import Event

if TYPE_CHECKING:
    from pulumi.automation import EngineEvent

SHOWN: Final = 3  # reasons and errors in one line; the rest is in Pulumi's own output
TELL_SECONDS: Final = 5.0  # between progress events, at each of which the releaser renews its lease or sees that it lost it
NOTICE_SECONDS: Final = 1.0  # for Pulumi to say that a Ctrl-C of the terminal reached it too
END_SECONDS: Final = 120.0  # for Pulumi to write its state, once it was told to stop


class PulumiOperationFailed(OperatorError):
    """A Pulumi operation of a color's stack ended with an error."""

    code = "pulumi-failed"


class Operation:
    """An operation on the stack `name`. `run` calls the automation API with a callback for its events,
    once `events` is first iterated."""

    def __init__(self, step: str, name: str, run: Callable[[Callable[[EngineEvent], Any]], object]) -> None:
        self._step, self._name, self._run = step, name, run
        self._told: queue.Queue[EngineEvent | None] = queue.Queue()
        self._error: Exception | None = None
        self._ending = threading.Event()  # set when Pulumi ended, or reported that it got a signal
        self._thread = threading.Thread(target=self._work, name=f"pulumi-{name}", daemon=True)

    def events(self) -> Iterator[Event]:
        """An event for each finished resource. Raises HeldByAnother when another operation runs, or PulumiOperationFailed.
        Closing the iterator early tells Pulumi to stop."""
        yield Event(self._step, "start", self._name)
        atexit.register(self.end)  # a command that ends with an error may not close this generator
        self._thread.start()
        try:
            yield from self._tell()
        finally:
            self.end()
            atexit.unregister(self.end)

    def end(self) -> None:
        """Stop Pulumi. At its first signal it finishes the changes in flight, writes its state, and releases its lock."""
        if not self._thread.is_alive():
            return
        if not self._ending.wait(NOTICE_SECONDS):  # a second signal would end it at once and lose resources from the state
            for child in psutil.Process().children():
                try:
                    if self._name in child.cmdline():
                        child.terminate()
                except psutil.Error:
                    continue  # it ended by itself
        self._thread.join(END_SECONDS)

    def _work(self) -> None:
        try:
            self._run(self._hear)
        except Exception as error:  # noqa: BLE001 - raised again in the caller's thread
            self._error = error
        finally:
            self._ending.set()
            self._told.put(None)

    def _hear(self, event: EngineEvent) -> None:
        if event.stdout_event is not None and "cancelling" in event.stdout_event.message:
            self._ending.set()
        self._told.put(event)

    def _tell(self) -> Iterator[Event]:
        done, last, errors = 0, "", list[str]()
        while True:
            try:
                event = self._told.get(timeout=TELL_SECONDS)
            except queue.Empty:
                yield Event(self._step, "progress", last or "Pulumi works", done=done)
                continue
            if event is None:
                break
            if event.res_outputs_event is not None:
                metadata = event.res_outputs_event.metadata
                if metadata.op not in ("same", "read"):
                    done, last = done + 1, f"{metadata.op} {metadata.urn.rpartition('::')[2]}"
                    yield Event(self._step, "progress", last, done=done)
            elif event.diagnostic_event is not None and event.diagnostic_event.severity == "error":
                errors.append(" ".join(event.diagnostic_event.message.split()))
        self._thread.join()
        if self._error is not None:
            raise self._failure(self._error, errors) from self._error
        yield Event(self._step, "ok", f"{self._name}: {done} resources changed", data={"changed": done})

    def _failure(self, error: Exception, errors: list[str]) -> OperatorError:
        from pulumi import automation as auto

        where = f"stack {self._name}"
        if isinstance(error, auto.ConcurrentUpdateError):
            return HeldByAnother("Another Pulumi operation holds the color's stack", where=where, next="teal repair")
        said = "; ".join(dict.fromkeys(errors[:SHOWN])) or last_line(error)
        return PulumiOperationFailed(f"{self._step} failed: {said}", where=where, next="teal repair")


def end_processes(step: str, running: Sequence[psutil.Process]) -> Iterator[Event]:
    """Stop Pulumi's processes of another releaser, as `Operation.end` stops its own, and wait for them. Raises PulumiOperationFailed."""
    left, deadline = list(running), time.monotonic() + END_SECONDS
    for process in left:
        with suppress(psutil.NoSuchProcess):
            process.terminate()
    while left:
        said = ", ".join(str(process.pid) for process in left)
        if time.monotonic() > deadline:
            raise PulumiOperationFailed(
                f"A pulumi whose releaser is gone does not end (pid {said})",
                where="this machine",
                next=f"kill -9 {said}; teal repair",
            )
        yield Event(step, "progress", f"a pulumi whose releaser is gone (pid {said}) writes its state and ends")
        _, left = psutil.wait_procs(left, timeout=TELL_SECONDS)


def last_line(error: BaseException) -> str:
    """The line of a command's output that contains `error:`, else its last line."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return next((line for line in lines if "error:" in line), lines[-1] if lines else type(error).__name__)
