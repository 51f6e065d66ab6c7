"""Waits for a server that a test has started."""

from __future__ import annotations

import socket
import subprocess
import time
from typing import Final

_LONGEST_SECONDS: Final = 30.0


def until_it_listens(port: int, process: subprocess.Popen[bytes]) -> None:
    """Raises AssertionError when the process ended, or does not listen on loopback in time."""
    deadline = time.monotonic() + _LONGEST_SECONDS
    while True:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        assert process.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.05)
