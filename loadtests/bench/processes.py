"""Runs the service under test as separate processes in a temporary folder, and reads their CPU time and memory."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any, Final

import psutil

from loadtests.loopback import free_port

READY_SECONDS: Final = 40.0
STOP_SECONDS: Final = 40.0  # an app drains for 2 s and may finish requests for 30 s
LIMIT_PER_SECOND: Final = 1_000_000  # one key sends everything, so its rate limit must not be reached


@dataclass(frozen=True, slots=True)
class Cpu:
    """CPU seconds used so far: by the event loop's thread (the app itself), and by the other threads (embedding, SQLite)."""

    loop: float
    others: float

    def __sub__(self, before: Cpu) -> Cpu:
        return Cpu(self.loop - before.loop, self.others - before.others)


def cpu_used(pid: int) -> Cpu:
    """CPU time from the kernel's clocks in nanoseconds, because the usual counters have steps of 10 ms. Linux only."""
    whole = time.clock_gettime((~pid << 3) | 2)  # as in clock_getcpuclockid(3); includes threads that have ended
    loop = int(Path(f"/proc/{pid}/task/{pid}/schedstat").read_text().split()[0]) / 1e9
    return Cpu(loop, whole - loop)


def memory_mb(pid: int) -> float:
    """Resident memory of the process and its children, in MB."""
    process = psutil.Process(pid)
    return sum(float(one.memory_info().rss) for one in (process, *process.children(recursive=True))) / 1e6


@dataclass
class Stack:
    """Redis, a worker and app processes. `stop` ends each by its own process id."""

    folder: Path
    settings: Mapping[str, str]
    running: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)
    _logs: list[IO[bytes]] = field(default_factory=list)

    def env(self, **extra: str) -> dict[str, str]:
        kept = {name: value for name, value in os.environ.items() if not name.startswith("TEAL_") and not name.endswith("_URL")}
        limit = {"TEAL_STATE_DIR": str(self.folder / "data"), "TEAL_RATE_LIMIT_PER_SECOND": str(LIMIT_PER_SECOND)}
        return kept | limit | {"TEAL_RELEASE_ID": "bench"} | dict(self.settings) | extra

    def spawn(self, name: str, argv: list[str], *, code: Path | None = None, **extra: str) -> int:
        """Start a process, from the code in the folder `code` if given; returns its id."""
        log = (self.folder / f"{name}.log").open("ab")
        self._logs.append(log)
        self.running[name] = subprocess.Popen(argv, env=self.env(**extra), stdout=log, stderr=log, cwd=code)  # noqa: S603
        return self.running[name].pid

    def redis(self) -> str | None:
        """Start a Redis; its address, or None when there is no binary."""
        binary = shutil.which("redis-server", path=f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
        if binary is None:
            return None
        port = free_port()
        self.spawn("redis", [binary, "--port", str(port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"])
        deadline = time.monotonic() + READY_SECONDS
        while time.monotonic() < deadline:
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", port)) == 0:
                    return f"redis://127.0.0.1:{port}/0"
            time.sleep(0.02)
        raise TimeoutError(f"redis-server did not start; see {self.folder / 'redis.log'}")

    def app(self, name: str, port: int, *, code: Path | None = None, **extra: str) -> float:
        """Start an app process; seconds until /readyz is 200."""
        began = time.perf_counter()
        self.spawn(name, [sys.executable, "-m", "app.main", "--port", str(port)], code=code, **extra)
        while time.perf_counter() - began < READY_SECONDS:
            try:
                with urllib.request.urlopen(f"http://127.0.0.1:{port}/readyz", timeout=2) as answer:
                    if answer.status == 200:
                        return time.perf_counter() - began
            except (urllib.error.URLError, OSError):
                pass
            if self.running[name].poll() is not None:
                break
            time.sleep(0.01)
        tail = (self.folder / f"{name}.log").read_text(errors="replace")[-2000:]
        raise TimeoutError(f"{name} was not ready within {READY_SECONDS:.0f} s; its log ends:\n{tail}")

    def admin(self, *arguments: str) -> dict[str, Any]:
        """Run `python -m app.admin ...`; returns the first JSON line of its output."""
        argv = [sys.executable, "-m", "app.admin", *arguments]
        done = subprocess.run(argv, env=self.env(), capture_output=True, text=True, timeout=60, check=True)  # noqa: S603
        first: dict[str, Any] = json.loads(done.stdout.splitlines()[0])
        return first

    def end(self, name: str) -> None:
        process = self.running.pop(name)
        process.terminate()
        try:
            process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(STOP_SECONDS)

    def stop(self) -> None:
        for process in self.running.values():
            process.kill()
        for process in self.running.values():
            process.wait(STOP_SECONDS)
        self.running.clear()
        for log in self._logs:
            log.close()
