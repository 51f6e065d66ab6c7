"""Servers of load tests, each in a process of its own."""

from __future__ import annotations

import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from tests.conftest import free_port

_LONGEST_SECONDS: Final = 30.0


@contextmanager
def serving(*options: str, module: str = "service") -> Iterator[str]:
    """The address of `tests.parts.loadtests.<module>`, which runs until the end of the block."""
    port = free_port()
    process = subprocess.Popen([sys.executable, "-m", f"tests.parts.loadtests.{module}", "--port", str(port), *options])
    try:
        _until_it_listens(port, process)
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait(10)


def _until_it_listens(port: int, process: subprocess.Popen[bytes]) -> None:
    """Raises AssertionError when the process ended, or does not listen on loopback in time."""
    deadline = time.monotonic() + _LONGEST_SECONDS
    while True:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        assert process.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.05)
