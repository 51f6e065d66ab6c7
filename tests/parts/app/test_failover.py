"""A primary that was demoted lives on as a replica, answers, and keeps its connections: the service has to leave it by itself."""

from __future__ import annotations

import asyncio
import os
import shutil
import socket
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import redis
from pydantic import SecretStr
from sqlalchemy import text

from app.access.rate_limit import KeyLimiter
from app.answering.cache import Cache
from app.catalog.engine import Catalog, migrate
from app.errors import CatalogUnavailable
from app.redis_client import open_redis
from app.settings import Settings
from tests.services import postgres_process
from tests.services.ports import free_port
from tests.services.redis_process import RedisProcess

pytestmark = pytest.mark.integration
NAME = "primary.test"


@pytest.fixture
def pair(tmp_path: Path) -> Iterator[tuple[RedisProcess, RedisProcess]]:
    """Two servers on one port number of two loopback addresses: a failover changes only the name's address, as with ElastiCache."""
    binary = shutil.which("redis-server", path=f"{Path(sys.executable).parent}:{os.environ['PATH']}")
    assert binary is not None
    port = free_port()
    servers = [RedisProcess(binary, port, address=address, folder=tmp_path) for address in ("127.0.0.11", "127.0.0.12")]
    try:
        for one in servers:
            one.start()
        yield servers[0], servers[1]
    finally:
        for one in servers:
            one.stop()


@pytest.mark.anyio
async def test_cache_and_limits_write_to_the_new_primary_within_a_request(
    pair: tuple[RedisProcess, RedisProcess], monkeypatch: pytest.MonkeyPatch
) -> None:
    old, new = pair
    leads_to = [old.address]
    real = socket.getaddrinfo

    def look_up(host: Any, *arguments: Any, **named: Any) -> Any:
        return real(leads_to[0] if host == NAME else host, *arguments, **named)

    monkeypatch.setattr(socket, "getaddrinfo", look_up)
    url = f"redis://{NAME}:{old.port}/0"
    client = open_redis(url)
    cache = Cache(client, prefix="t", local_bytes=1_000_000, ttl_seconds=300)
    limiter = KeyLimiter(url, per_second=20)
    await asyncio.gather(*(cache.shared_put(f"before {number}", b"x") for number in range(8)))  # a pool of several connections
    await limiter.admit("before")
    leads_to[0] = new.address
    redis.Redis(old.address, old.port).replicaof(new.address, new.port)
    for number in range(20):
        await cache.shared_put(f"after {number}", b"x")
        await limiter.admit(f"after {number}")
    written = {key.decode() for key in redis.Redis(new.address, new.port).scan_iter()}
    assert {f"after {number}" for number in range(20)} <= written
    assert sum("LIMIT" in key and "after" in key for key in written) == 20
    assert not cache.breaker.opened
    await client.aclose()


def test_a_demoted_postgresql_is_left_with_all_connections_after_its_first_refusal(postgres_url: str) -> None:
    with postgres_process.fresh_database(postgres_url) as url:
        settings = Settings(database_url=SecretStr(url))
        migrate(settings.sqlalchemy_url())
        catalog = Catalog(settings.sqlalchemy_url())
        with catalog.read() as session:
            before = session.execute(text("SELECT pg_backend_pid()")).scalar_one()
        with catalog.engine.connect() as session:  # what a replica does: it refuses to write, on every connection that it has
            session.execute(text("SET default_transaction_read_only = on"))
            session.commit()
        with pytest.raises(CatalogUnavailable), catalog.write() as session:
            session.execute(text("DELETE FROM idempotency_keys"))
        with catalog.read() as session:
            assert session.execute(text("SELECT pg_backend_pid()")).scalar_one() != before
        with catalog.write() as session:
            session.execute(text("DELETE FROM idempotency_keys"))
        catalog.close()
