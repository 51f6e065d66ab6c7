"""The Redis client of the service, for the shared cache and the shared rate limits."""

from __future__ import annotations

from typing import Any, Final

from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import ExponentialWithJitterBackoff
from redis.exceptions import ResponseError

TIMEOUT_SECONDS: Final = 0.25  # a cached answer later than this is no faster than a search


def client_options() -> dict[str, Any]:
    """Options of the client: short timeouts, and one retry with jitter.

    A primary that was demoted to a replica refuses writes but keeps its connections open. Such a connection is closed, and the
    command is sent again on a new one; the host name is then resolved again and leads to the new primary.
    """
    return {
        "socket_timeout": TIMEOUT_SECONDS,
        "socket_connect_timeout": TIMEOUT_SECONDS,
        "retry": Retry(ExponentialWithJitterBackoff(base=0.01, cap=0.05), 1),
        # ReadOnlyError is a ResponseError; Redis before version 7 reports a script that may not write as a plain ResponseError.
        "retry_on_error": [ResponseError],
    }


def open_redis(url: str) -> Redis:
    """A client for the shared cache; it connects at first use."""
    # More waiting requests than max_connections means that Redis is the problem, not the pool.
    return Redis.from_url(url, max_connections=64, **client_options())
