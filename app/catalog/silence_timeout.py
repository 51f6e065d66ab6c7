"""A PostgreSQL connection with a silence timeout. Without it libpq waits for ever, because a
frozen server keeps its sockets open."""

from __future__ import annotations

import time
from collections.abc import Generator
from typing import Any, Final, TypeVar

import psycopg

T = TypeVar("T")
SILENCE_SECONDS: Final = 4.0  # a second more than the server's statement timeout, whose error tells more


class SilenceTimeoutConnection(psycopg.Connection[Any]):
    """Closes itself and raises `psycopg.OperationalError` when the server sends nothing for four seconds."""

    def wait(self, gen: Generator[Any, Any, T], *arguments: Any, **named: Any) -> T:
        return super().wait(self._bounded(gen), *arguments, **named)

    def _bounded(self, gen: Generator[Any, Any, T]) -> Generator[Any, Any, T]:
        heard = time.monotonic()
        try:
            waiting = next(gen)
            while True:
                ready = yield waiting
                if ready:
                    heard = time.monotonic()
                elif time.monotonic() - heard > SILENCE_SECONDS:  # psycopg looks every tenth of a second, ready or not
                    gen.close()
                    self.pgconn.finish()
                    raise psycopg.OperationalError(f"the server was silent for {SILENCE_SECONDS:.0f} s")
                waiting = gen.send(ready)
        except StopIteration as end:
            result: T = end.value
            return result
