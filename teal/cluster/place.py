"""Where a cluster that runs in the background is known: a folder with a lock and a log.

The lock is held by an open file of the process that runs the cluster, from before it starts until it ends, however it ends. So nobody can
hold on to it after a `kill -9`, and no number of a process has to be believed. What that process says, line by line, is in the log.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import shutil
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import psutil

from teal.events import Event

FOLDER: Final = Path("/run/teal-cluster")  # of the machine, and gone when it starts again: a machine carries one cluster
VARIABLE: Final = "TEAL_CLUSTER_FOLDER"  # another folder, for tests
MARK: Final = "TEAL_CLUSTER_MARK"  # in the environment of every process that a cluster started: its folder
BEGIN: Final = "begin"  # the first event in the log, with `pid`, `nodes`, `metrics` and `checkout`
READY: Final = "ready"  # the last one
LOCK_SECONDS: Final = 1.0  # who only looks whether the lock is free holds it for less than a millisecond
_EVENT_FIELDS: Final = ("step", "state", "detail", "done", "total")


@dataclass(frozen=True, slots=True)
class Place:
    """Paths only: making one creates nothing."""

    folder: Path

    @property
    def lock(self) -> Path:
        return self.folder / "lock"

    @property
    def log(self) -> Path:
        return self.folder / "log"


@dataclass(frozen=True, slots=True)
class Story:
    """What the log tells: `events` in their order, `error` as the process put it, `last` lines of any kind."""

    events: tuple[Event, ...] = ()
    error: Mapping[str, Any] = field(default_factory=dict)
    last: tuple[str, ...] = ()

    def data(self, step: str) -> Mapping[str, Any]:
        """The data of the event of that step; empty where there is none."""
        return next((event.data for event in self.events if event.step == step), {})


def locate(environ: Mapping[str, str]) -> Place:
    return Place(Path(environ.get(VARIABLE, FOLDER)))


def hold(place: Place, seconds: float = 0.0) -> int | None:
    """A descriptor that holds the lock, to be closed or handed on; None when somebody else's still holds it after `seconds`."""
    deadline = time.monotonic() + seconds
    while (held := _try(place)) is None and time.monotonic() < deadline:
        time.sleep(0.05)
    return held


def is_running(place: Place) -> bool:
    """Whether a process runs a cluster here, ready or not."""
    if not place.lock.exists():
        return False
    held = hold(place)
    if held is None:
        return True
    os.close(held)
    return False


def forget(place: Place) -> None:
    """Remove the folder; only for who holds the lock."""
    shutil.rmtree(place.folder, ignore_errors=True)


def read(place: Place) -> Story:
    """What the log tells until now. A line that is half written is left for the next time."""
    try:
        text = place.log.read_text(encoding="utf-8", errors="replace")
    except FileNotFoundError:
        return Story()
    lines = text.rpartition("\n")[0].splitlines()
    events: list[Event] = []
    error: Mapping[str, Any] = {}
    for line in lines:
        with contextlib.suppress(ValueError):
            said = json.loads(line)
            if isinstance(said, dict) and "error" in said:
                error = said["error"]
            elif isinstance(said, dict) and "step" in said:
                known = {name: said.pop(name) for name in _EVENT_FIELDS if name in said}
                events.append(Event(**{"state": "ok", **known}, data=said))
    return Story(tuple(events), error, tuple(line for line in lines if line.strip() and not line.startswith("{"))[-5:])


def marked(place: Place) -> list[psutil.Process]:
    """Every process that a cluster of this place started, by the mark in its environment."""
    found = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error, OSError):  # it has ended meanwhile
            if process.environ().get(MARK) == str(place.folder):
                found.append(process)
    return found


def _try(place: Place) -> int | None:
    while True:
        place.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        try:
            held = os.open(place.lock, os.O_RDWR | os.O_CREAT, 0o600)
        except FileNotFoundError:
            continue  # a `down` has just removed the folder
        try:
            fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if os.fstat(held).st_ino == place.lock.stat().st_ino:
                return held
        except BlockingIOError:
            os.close(held)
            return None
        except FileNotFoundError:
            pass
        os.close(held)  # it is the lock of a folder that is gone
