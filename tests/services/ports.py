"""Ports for what tests start. A port is reserved for as long as the process of the tests lives, for other workers' sake too."""

from __future__ import annotations

import fcntl
import os
import socket
import tempfile
from io import TextIOWrapper
from pathlib import Path

PORTS = range(10_000, 20_000)  # below those that a laptop stack gives its parts, and those that the kernel lends to connections
_held: list[TextIOWrapper] = []  # a lock on each port's file; the kernel gives it back when this process ends, however it ends


def free_port() -> int:
    """A port of loopback that nobody listens on, and that no other process of tests on this machine was given."""
    folder = Path(tempfile.gettempdir()) / "teal-test-ports"
    folder.mkdir(mode=0o777, exist_ok=True)
    first = os.getpid() * 37 % len(PORTS)  # processes begin apart, so that they seldom meet
    for step in range(len(PORTS)):
        port = PORTS[(first + step) % len(PORTS)]
        file = (folder / str(port)).open("a")
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            with socket.socket() as probe:
                probe.bind(("127.0.0.1", port))
        except OSError:  # reserved by another process, or by this one, or somebody listens
            file.close()
            continue
        _held.append(file)
        return port
    raise RuntimeError(f"no port from {PORTS.start} to {PORTS.stop - 1} is free")
