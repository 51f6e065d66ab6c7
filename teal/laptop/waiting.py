"""Waits for a program to answer, and explains why it did not."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

from teal.errors import PartFailed
from teal.events import Event
from teal.laptop import supervisor
from teal.laptop.causes import StartFailureCause, explain
from teal.laptop.layout import Layout

STEP_SECONDS = 0.2
ENDED_SECONDS = 6.0  # a program that ended for a known cause and was restarted must answer within this time
ENDED_OFTEN = 3  # after more ends than this the wait stops, whatever the cause: supervisor's pauses between starts grow
WORDS_LINES = 40  # lines from the end of a log in which the cause is looked for; Elasticsearch writes many around it


def until(layout: Layout, name: str, answers: Callable[[], tuple[bool, str]], seconds: float) -> Iterator[Event]:
    """Wait for one program to run and answer; yields progress every few seconds. Raises PartFailed for a program that keeps
    ending, with the cause from its log."""
    started = told = time.monotonic()
    pids: set[int] = set()
    while True:
        process = supervisor.processes(layout)[name]
        good, said = answers() if process.state == "RUNNING" else (False, process.state.lower())
        if good:
            yield Event(name, "ok", said)
            return
        waited = time.monotonic() - started
        pids |= {process.pid} - {0}
        ended = len(pids) + (process.state in ("BACKOFF", "EXITED"))
        given_up = process.state == "FATAL" or waited > seconds or ended > ENDED_OFTEN
        if given_up or (ended > 1 and waited > ENDED_SECONDS and _cause(layout, name)):
            raise _failed(layout, process, said, waited)
        if time.monotonic() - told > 5:  # seconds between progress events
            told = time.monotonic()
            yield Event(name, "progress", f"waiting ({said})", done=int(waited), total=int(seconds))
        time.sleep(STEP_SECONDS)


def _cause(layout: Layout, name: str) -> StartFailureCause | None:
    return explain(supervisor.log_tail(layout.logs / f"{name}.out.log", lines=WORDS_LINES))


def _failed(layout: Layout, process: supervisor.SupervisedProcess, said: str, waited: float) -> PartFailed:
    """The failure, with its cause if the end of the program's log names a known one."""
    log = layout.logs / f"{process.name}.out.log"
    words = supervisor.log_tail(log)
    cause = _cause(layout, process.name)
    last = (words.splitlines() or [process.detail or said])[-1]
    if cause is not None:
        return PartFailed(process.name, f"{cause.what}; its last words: {last}", log=str(log), next=cause.next)
    return PartFailed(process.name, f"{said} after {waited:.0f} s; its last words: {last}", log=str(log))


def until_stopped(layout: Layout, name: str) -> Iterator[Event]:
    deadline = time.monotonic() + supervisor.STOP_SECONDS
    while (process := supervisor.processes(layout)[name]).state == "STOPPING":
        if time.monotonic() > deadline:
            raise _failed(layout, process, "did not end", supervisor.STOP_SECONDS)
        time.sleep(STEP_SECONDS)
    yield Event(name, "progress", "stopped")
