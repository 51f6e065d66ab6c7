"""What a unit test may not do: start a process, use the network, sleep, load moto. Python itself reports each attempt (PEP 578).

The attempt fails where it is made, and the test fails at its end too, because the code under test may have caught the first failure.
Pairs of connected sockets, which asyncio's event loop wakes itself with, are no network and stay allowed.
"""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

_PROCESS = "starts a process"
_NETWORK = "uses the network"
_WHAT = {
    "subprocess.Popen": _PROCESS,
    "os.fork": _PROCESS,
    "os.forkpty": _PROCESS,
    "os.posix_spawn": _PROCESS,
    "os.spawn": _PROCESS,
    "os.system": _PROCESS,
    "os.exec": _PROCESS,
    "socket.bind": _NETWORK,
    "socket.connect": _NETWORK,
    "socket.sendto": _NETWORK,
    "socket.getaddrinfo": _NETWORK,
}


class NotAUnitTest(AssertionError):
    """A test in tests/unit did what only a test on real parts may do."""


class Ban:
    """Off until `on` is entered: a hook of Python's auditing cannot be taken away again."""

    def __init__(self) -> None:
        self._test: str | None = None
        self._broken: str | None = None
        sys.addaudithook(self._heard)
        self._watch_sleeps()

    @contextmanager
    def on(self, test: str) -> Iterator[None]:
        """Hold the ban over a phase of `test`; raises NotAUnitTest at the end, if it was broken and nobody let it through."""
        self._test, self._broken = test, None
        try:
            yield
        finally:
            self._test, broken = None, self._broken
        if broken is not None:
            raise NotAUnitTest(broken)

    def _heard(self, event: str, args: tuple[Any, ...]) -> None:
        if self._test is None:
            return
        if event in _WHAT:
            self._refuse(f"{_WHAT[event]} ({event})")
        elif event == "import" and str(args[0]).partition(".")[0] == "moto":
            self._refuse("loads moto")

    def _refuse(self, what: str) -> None:
        self._broken = (
            f"{self._test} {what}, and a unit test may not. Wait for a condition or hand in a clock, "
            "or move it to the same room under tests/parts, where tests on real parts are."
        )
        raise NotAUnitTest(self._broken)

    def _watch_sleeps(self) -> None:
        """Python reports no sleep before 3.13, and of a timer of the event loop none at all."""
        real, real_of_asyncio = time.sleep, asyncio.sleep

        def sleep(seconds: float) -> None:
            if self._test is not None and seconds > 0:
                self._refuse(f"sleeps for {seconds} s")
            real(seconds)

        async def sleep_of_asyncio(delay: float, result: Any = None) -> Any:
            if self._test is not None and delay > 0:
                self._refuse(f"sleeps for {delay} s")
            return await real_of_asyncio(delay, result)

        time.sleep = sleep
        asyncio.sleep = asyncio.tasks.sleep = sleep_of_asyncio
