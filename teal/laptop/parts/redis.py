"""Redis as a cache: its content is lost at a restart, and its memory is limited."""

from __future__ import annotations

import secrets
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from teal.laptop.layout import Layout
from teal.laptop.parts.part import CheckRow, Part, PartContext
from teal.laptop.program import PLAIN, Program, shell_env
from teal.laptop.secrets import kept_secret
from teal.laptop.state import LaptopState

if TYPE_CHECKING:
    import redis

BINARY = "redis-server"
MAX_MEMORY = "128mb"  # a laptop's share; beyond it the least used entries are evicted first
ANSWER_SECONDS = 3.0
REPLICA = "answers, and is a replica of another server: it refuses writes. runbooks/redis-failover.md"


class RedisPart(Part):
    """The stack's own server, unless REDIS_URL names another. Without either, each process has a cache of its own."""

    name = "redis"
    ports = ("redis",)

    def programs(self, place: PartContext) -> tuple[Program, ...]:
        binary = place.find(BINARY)
        if binary is None or place.environ.get("REDIS_URL"):
            return ()
        configuration = str(place.layout.conf / "redis.conf")
        return (Program(self.name, (binary, configuration), shell_env(place.environ, PLAIN), str(place.layout.home)),)

    def files(self, place: PartContext) -> Mapping[Path, str]:
        return {place.layout.conf / "redis.conf": redis_conf(place.layout, place.state, password(place.layout))}

    def service_env(self, place: PartContext) -> Mapping[str, str]:
        found = url(place)
        return {"REDIS_URL": found} if found else {}

    def absent(self, place: PartContext) -> str | None:
        return None if url(place) else "no redis-server on this machine: each process caches alone (`make up` installs it)"

    def ready(self, place: PartContext, program: str) -> tuple[bool, str]:
        good, said = probe_redis(url(place) or "")
        return good or said == REPLICA, said  # the service works without a writable Redis, so there is no reason to wait

    def health(self, place: PartContext, program: str) -> tuple[bool, str]:
        return probe_redis(url(place) or "")

    def status(self, place: PartContext, known: Collection[str]) -> list[CheckRow]:
        if self.name in known:
            return []
        outside = place.environ.get("REDIS_URL")
        if not outside:
            return [CheckRow("redis", False, "none: each process caches alone", "make up")]
        good, said = probe_redis(outside)
        return [CheckRow("redis", good, f"REDIS_URL {said}", "" if good else "start it, or unset REDIS_URL and `teal up`")]

    def doctor(self, place: PartContext) -> list[CheckRow]:
        if place.environ.get("REDIS_URL"):
            return [CheckRow("redis", True, "REDIS_URL is used")]
        binary = place.find(BINARY)
        return [CheckRow("redis", bool(binary), binary or "missing: each process caches alone", "" if binary else "make up")]


def url(place: PartContext) -> str | None:
    """The URL for the service: REDIS_URL, else the stack's own server, else None."""
    if given := place.environ.get("REDIS_URL"):
        return given
    port = place.state.ports.redis
    return f"redis://:{password(place.layout)}@127.0.0.1:{port}/0" if place.find(BINARY) else None


def password(layout: Layout) -> str:
    """The generated password, made at the first call and kept in a file that only its owner reads."""
    return kept_secret(layout.redis_password, lambda: secrets.token_urlsafe(32), "[A-Za-z0-9_-]{43}")


def probe_redis(url: str) -> tuple[bool, str]:
    """Whether Redis answers PING and accepts writes: a demoted primary still runs, as a replica."""
    import redis

    try:
        with redis.Redis.from_url(url, socket_timeout=ANSWER_SECONDS, socket_connect_timeout=ANSWER_SECONDS) as client:
            client.ping()
            replica = _is_replica(client)
    except (redis.RedisError, ValueError) as error:
        return False, f"does not answer ({type(error).__name__})"
    if replica:
        return False, REPLICA
    return True, "PONG"


def _is_replica(client: redis.Redis) -> bool:
    """Whether the server is a replica; False also when REDIS_URL's user lacks the right to ask."""
    import redis

    try:
        return bool(client.info("replication").get("role") == "slave")
    except redis.ResponseError:
        return False


def redis_conf(layout: Layout, state: LaptopState, secret: str) -> str:
    """redis.conf (it holds the password: write it with mode 0600)."""
    return f"""\
bind 127.0.0.1
protected-mode yes
port {state.ports.redis}
requirepass {secret}
daemonize no
# Redis would write a title over its environment, where `teal up` looks for this stack's mark on left-over processes.
set-proc-title no
dir "{layout.run}"
maxmemory {MAX_MEMORY}
maxmemory-policy allkeys-lru
save ""
appendonly no
"""
