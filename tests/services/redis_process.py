"""A real Redis that a test can stop and start again: the one that the laptop stack runs, or Debian's, which knows TLS."""

from __future__ import annotations

import socket
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path

START_SECONDS = 60.0  # a busy machine; alone it takes a tenth of one


class RedisProcess:
    """`binary`: redis-server. Not started yet; `url` stays the same over stops and starts. `folder`: where a replica keeps its copy.
    `more`: further arguments."""

    def __init__(
        self, binary: str, port: int, *, address: str = "127.0.0.1", folder: Path | None = None, more: Sequence[str] = ()
    ) -> None:
        self._argv = [
            binary,
            "--port",
            str(port),
            "--bind",
            address,
            "--save",
            "",
            "--appendonly",
            "no",
            *(("--dir", str(folder)) if folder else ()),
            *more,
        ]
        self._process: subprocess.Popen[bytes] | None = None
        self.address, self.port = address, port
        self.url = f"redis://{address}:{port}/0"

    def start(self) -> None:
        self._process = subprocess.Popen(self._argv, stdout=subprocess.DEVNULL)
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline:
            with socket.socket() as probe:
                if probe.connect_ex((self.address, self.port)) == 0:
                    return
            time.sleep(0.02)
        raise TimeoutError(f"redis-server did not listen on port {self.port} within {START_SECONDS:.0f} s")

    @property
    def stopped(self) -> bool:
        return self._process is None

    def stop(self) -> None:
        if self._process is not None:
            self._process.terminate()
            self._process.wait(10)
            self._process = None
