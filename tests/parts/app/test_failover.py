"""A primary that was demoted lives on as a replica, answers, and keeps its connections: the service has to leave it by itself."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import socket
import subprocess
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
from app.catalog.ingestion_queries import Job
from app.errors import CatalogUnavailable
from app.ingestion.job_queue import Jobs, migrate_jobs
from app.redis_client import open_redis
from app.settings import Settings
from teal.laptop.parts.redis import probe_redis
from tests.services import postgres_process, postgres_server
from tests.services.ports import free_port
from tests.services.redis_process import RedisProcess
from tests.services.required import require

pytestmark = pytest.mark.integration
NAME = "primary.test"
NOTICED_SECONDS = 30.0  # after 10 + 3 * 3 s of silence, on a busy machine


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
    assert probe_redis(old.url) == (True, "PONG")
    redis.Redis(old.address, old.port).replicaof(new.address, new.port)
    good, said = probe_redis(old.url)
    assert (good, "refuses writes" in said) == (False, True), "teal status must not call it well"
    cache.put("gathered", b"x")
    await cache.close()
    for number in range(20):
        await cache.shared_put(f"after {number}", b"x")
        await limiter.admit(f"after {number}")
    written = {key.decode() for key in redis.Redis(new.address, new.port).scan_iter()}
    assert {"gathered", *(f"after {number}" for number in range(20))} <= written
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


def _programs() -> Path:
    found = postgres_process.binaries()
    require("PostgreSQL", postgres_process.HINT, found is not None and "TEST_DATABASE_URL" not in os.environ)
    assert found is not None
    return found


def test_a_failover_to_a_replica_whose_name_moves_late_loses_no_write_and_needs_no_restart(tmp_path: Path) -> None:
    """The name of the primary is a link to the folder of its socket: as with DNS, what is open stays, and what is opened anew follows it."""
    with postgres_server.pair(_programs()) as (old, new):
        name = tmp_path / "primary"
        name.symlink_to(old.home)
        settings = Settings(database_url=SecretStr(f"postgresql://teal@/postgres?host={name}"))
        migrate(settings.sqlalchemy_url())
        migrate_jobs(settings)
        catalog, jobs = Catalog(settings.sqlalchemy_url()), Jobs(settings)
        with catalog.write() as session:
            session.execute(text("CREATE TABLE kept (number integer)"))
            session.execute(text("INSERT INTO kept VALUES (0)"))
        jobs.enqueue(Job("before", 1))

        old.stop("fast")  # a clean stop waits until the replica has everything
        new.promote()
        old.demote(new)
        old.start()
        with catalog.read() as session:  # the name still leads to the old one, which answers: the pool fills with its connections
            assert session.execute(text("SELECT pg_is_in_recovery()")).scalar_one() is True
        for _ in range(3):
            with pytest.raises(CatalogUnavailable, match="read-only"), catalog.write() as session:
                session.execute(text("INSERT INTO kept VALUES (1)"))
        with pytest.raises(CatalogUnavailable):
            jobs.enqueue(Job("during", 1))
        with catalog.read() as session:
            assert session.execute(text("SELECT count(*) FROM kept")).scalar_one() == 1

        name.unlink()
        name.symlink_to(new.home)
        refused = 0
        for number in range(2, 12):
            try:
                with catalog.write() as session:
                    session.execute(text("INSERT INTO kept VALUES (:number)"), {"number": number})
            except CatalogUnavailable:
                refused += 1
        try:
            jobs.enqueue(Job("after", 1))
        except CatalogUnavailable:
            refused += 1
            jobs.enqueue(Job("after", 1))
        assert refused <= 2, "one refusal of each pool gives up all of its connections"
        with catalog.read() as session:
            assert session.execute(text("SELECT pg_is_in_recovery()")).scalar_one() is False
            assert session.execute(text("SELECT count(*) FROM kept")).scalar_one() >= 10
        catalog.close()


@pytest.mark.long
def test_a_statement_at_a_database_that_vanished_without_a_word_ends_and_is_not_waited_for_until_a_restart() -> None:
    """A network of its own is cut, so no packet says that the server is gone: without the questions of TCP this would wait for two hours."""
    hint = "apt-get install iproute2, and run as root where `unshare --net` is allowed"
    alone = ["unshare", "--net", sys.executable, "-m", "tests.parts.app.vanished_database"]
    allowed = shutil.which("ip") is not None and subprocess.run(["unshare", "--net", "true"], capture_output=True, check=False).returncode == 0  # fmt: skip
    require("A network of its own", hint, allowed)
    done = subprocess.run([*alone, str(_programs())], capture_output=True, text=True, check=False, timeout=150)
    assert done.returncode == 0, done.stderr[-2000:]
    said = json.loads(done.stdout)
    assert said["seconds"] < NOTICED_SECONDS, said
    assert "timed out" in said["said"], said
