"""What stands in for the platform's stores: PostgreSQL of Debian with TLS and a password as "RDS", Redis of Debian with TLS and a password as
"ElastiCache", on an address and the ports that network policies let pods reach; Elasticsearch 8.19 from Maven, without security, in the network of a pod of its own."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import psycopg

from contract.pods import SECRETS_FOLDER
from infra.compose.settings import SEARCH_CA_FILE
from infra.platform.network.rules import POSTGRES, REDIS
from loadtests.bench import elasticsearch_node
from tests.node import machine, search
from tests.services import postgres_process, postgres_server
from tests.services.certificates import self_signed
from tests.services.redis_process import RedisProcess
from tests.services.required import require

USER: Final = "teal"
PASSWORD: Final = "of-these-tests"  # pragma: allowlist secret
# In the service's secret of search, of an Elasticsearch without security
NOBODY: Final[Mapping[str, str]] = {"username": USER, "password": PASSWORD, "ca_certificate": ""}
# Debian's program, by whose name it decides what it is. The package `redis-server` adds that name and a service, which would start on the machine.
_REDIS: Final = "redis-check-rdb"
_TRANSPORT: Final = 9300
# As the platform writes it, and where the tests' own authority lies
REDIS_URL: Final = f"rediss://:{PASSWORD}@{machine.STORES}:{REDIS}/0?ssl_ca_certs={SECRETS_FOLDER}/{SEARCH_CA_FILE}"


@dataclass(frozen=True)
class Stores:
    """`database`: without user and password, as the platform's setting is. `redis`: as pods are told. `search_user`: what the service's
    secret of search holds; without security nobody asks for it. `authority`: by whose certificate Redis is known, as a file."""

    database: str
    redis: str
    elasticsearch: str
    search_user: Mapping[str, str]
    authority: Path


def require_stores() -> None:
    """Skip (fail in CI) where one of them is missing."""
    require("PostgreSQL", f"{postgres_process.HINT}.", postgres_process.binaries() is not None)
    require("Elasticsearch", "Run `make fetch`.", elasticsearch_node.archive().exists())
    require("Java", "apt-get install openjdk-17-jre-headless.", shutil.which("java") is not None)
    require("Redis with TLS", "apt-get install redis-tools.", shutil.which(_REDIS) is not None)


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
    with tempfile.TemporaryDirectory() as made, _redis(Path(made)) as authority, _postgres(POSTGRES) as database:
        authorities = search_user["ca_certificate"] + authority.read_text()
        yield Stores(database, REDIS_URL, elasticsearch, {**search_user, "ca_certificate": authorities}, authority)


@contextmanager
def _redis(folder: Path) -> Iterator[Path]:
    """The file that verifies it. ElastiCache's certificate is by an authority that every image knows; this one lies in the pods' file of search's."""
    certificate, key, program = folder / "redis.pem", folder / "redis.key", folder / "redis-server"
    self_signed(certificate, key, [machine.STORES])
    program.symlink_to(str(shutil.which(_REDIS)))
    redis = RedisProcess(str(program), REDIS, address=machine.STORES, more=(
        "--port", "0", "--tls-port", str(REDIS), "--tls-cert-file", str(certificate), "--tls-key-file", str(key), "--tls-auth-clients", "no",
        "--requirepass", PASSWORD,
    ))  # fmt: skip
    redis.start()
    try:
        yield certificate
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
