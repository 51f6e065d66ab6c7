"""`teal cluster down`: end the cluster of this machine, and leave nothing of it: no process, mount, network, cgroup, folder."""

from __future__ import annotations

import contextlib
import os
import signal
import time
from collections.abc import Iterator
from typing import Final

import psutil

from teal.cluster import place as places
from teal.cluster.checkout import ask, require_checkout
from teal.cluster.place import BEGIN, LOCK_SECONDS, Place
from teal.errors import NeedsHuman
from teal.events import Event

_BEGIN_SECONDS: Final = 15.0  # until a process that was just started has said its number; Python starts in under one
_TERM_SECONDS: Final = (
    40.0  # 3 s alone: the node's programs are killed, then its cgroups are removed as the kernel lets go of them
)
_KILL_SECONDS: Final = 10.0
_SWEEP_SECONDS: Final = 60.0


def down(place: Place) -> Iterator[Event]:
    """Yields what it did. Again: nothing to do. Raises NeedsHuman where something could not be removed."""
    checkout = require_checkout()
    held = places.hold(place, LOCK_SECONDS)
    ran = held is None
    if held is None:
        yield Event("cluster", "start", "ending it")
        held = _end(place)
    try:
        for process in places.marked(place):
            with contextlib.suppress(psutil.Error):
                process.kill()
        left = [str(row["left"]) for row in ask(checkout, "sweep", seconds=_SWEEP_SECONDS)]
        if left:
            raise NeedsHuman(
                "Something of an ended cluster could not be removed", where=", ".join(left), next="look who uses it: lsof, fuser"
            )
        places.forget(place)
    finally:
        os.close(held)
    yield Event("cluster", "ok", "ended; nothing of it is left" if ran else "did not run; nothing of it is left")


def _end(place: Place) -> int:
    """The lock, once the process that held it is gone: asked, and killed where it does not go."""
    for how, seconds in ((signal.SIGTERM, _TERM_SECONDS), (signal.SIGKILL, _KILL_SECONDS)):
        _tell(place, how)
        if (held := places.hold(place, seconds)) is not None:
            return held
    raise NeedsHuman("The cluster's process does not end", where=str(place.lock), next=f"fuser -v {place.lock}")


def _tell(place: Place, how: signal.Signals) -> None:
    """Signal the process that holds the lock. Its number in the log is its own as long as the lock is held, which is asked once more
    when the process can no longer be mistaken for another."""
    deadline = time.monotonic() + _BEGIN_SECONDS
    while time.monotonic() < deadline and places.is_running(place):
        with contextlib.suppress(ProcessLookupError, KeyError):  # not said yet, or it has just ended
            process = os.pidfd_open(places.read(place).data(BEGIN)["pid"])
            try:
                if places.is_running(place):
                    signal.pidfd_send_signal(process, how)
                return
            finally:
                os.close(process)
        time.sleep(0.1)
