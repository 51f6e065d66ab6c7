"""Faults of parts that run and answer but refuse writes: Elasticsearch past its flood stage, a demoted Redis."""

from __future__ import annotations

import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import httpx
import redis

from teal.drill.faults import NAMED_SECONDS, names
from teal.drill.scene import CouldNotRun, DrillFailed, Scene, Whole, wait_until
from teal.drill.stack import CommandFailed, DrillStack
from teal.laptop.loopback import free_ports
from teal.laptop.parts.elasticsearch import write_blocks
from teal.laptop.parts.redis import BINARY, password
from teal.laptop.program import find_program
from teal.laptop.state import LaptopState, load_state

CALL_SECONDS = 10.0  # an answer takes milliseconds; on a busy machine a second
START_SECONDS = 10.0  # of a redis-server: a tenth of a second on an idle machine
LOCAL = "127.0.0.1"


@contextmanager
def flood_stage(scene: Scene) -> Iterator[Whole]:
    """Every index has the block that Elasticsearch puts on it when its disk passes the flood stage."""
    stack = scene.stack
    url = f"http://{LOCAL}:{_state(stack).ports.elasticsearch}"
    scene.variables |= {"ES": url, "ES_CURL": "/dev/null"}  # as runbooks/README.md says for a laptop
    scene.strike()
    with _errors_fail_the_drill("Elasticsearch", url):
        try:
            _set_block(url, blocked=True)  # inside `try`: after a time-out the block may be set all the same
            wait_until(lambda: names(stack, "index"), what="`teal status` to name the index", seconds=NAMED_SECONDS)
            yield lambda: not write_blocks(url) and stack.healthy()
        finally:
            with suppress(httpx.HTTPError):
                _set_block(url, blocked=False)


def _set_block(url: str, *, blocked: bool) -> None:
    """Set or remove the write block. Null removes the setting, as the engine itself does;
    false would remain in the index settings."""
    setting = {"index.blocks.read_only_allow_delete": True if blocked else None}
    httpx.put(f"{url}/_all/_settings", json=setting, timeout=CALL_SECONDS, trust_env=False).raise_for_status()


@contextmanager
def demoted_redis(scene: Scene) -> Iterator[Whole]:
    """The stack's Redis becomes a replica of another server: it answers, keeps its connections, and refuses writes.

    Raises CouldNotRun, before anything is done, when the stack has no Redis of its own.
    """
    stack = scene.stack
    if not stack.pids("redis"):
        raise CouldNotRun(
            "this stack runs no Redis of its own", where=str(stack.home), next="teal drill demoted-redis, without --here"
        )
    port, secret = _state(stack).ports.redis, password(stack.layout)
    with (
        _errors_fail_the_drill("Redis", f"port {port}"),
        _another_primary(secret) as primary,
        redis.Redis(LOCAL, port, password=secret, socket_timeout=CALL_SECONDS) as old,
    ):
        scene.strike()
        try:
            old.config_set("masterauth", secret)
            old.replicaof(LOCAL, primary)
            wait_until(lambda: names(stack, "redis"), what="`teal status` to name Redis", seconds=NAMED_SECONDS)
            yield stack.healthy
        finally:
            with suppress(redis.RedisError):
                old.replicaof("NO", "ONE")
            with suppress(redis.RedisError):
                old.config_set("masterauth", "")


@contextmanager
def _errors_fail_the_drill(part: str, where: str) -> Iterator[None]:
    """Turn an error of a part's client into DrillFailed: this drill has failed, and the results of earlier ones are kept."""
    try:
        yield
    except (redis.RedisError, httpx.HTTPError) as error:
        why = str(error) or type(error).__name__
        raise DrillFailed(f"{part} did not do what the drill asked for: {why}", where=where, next="teal status") from error


@contextmanager
def _another_primary(secret: str) -> Iterator[int]:
    """Run a separate redis-server; yields its port.
    It reads its password from standard input, so that no other process can see it.

    It has a temporary working folder, and sends its data to the replica without writing a file.
    """
    binary = find_program(BINARY)
    if binary is None:
        raise CouldNotRun("there is no redis-server", where="teal drill", next="make up")
    (port,) = free_ports(1)
    with tempfile.TemporaryDirectory(prefix="teal-drill-redis-") as folder:
        process = subprocess.Popen((binary, "-"), stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, cwd=folder, text=True)  # noqa: S603
        try:
            assert process.stdin is not None  # noqa: S101 - a pipe, as asked for
            process.stdin.write(
                f'bind {LOCAL}\nport {port}\nrequirepass {secret}\nsave ""\nappendonly no\ndir "{folder}"\nrepl-diskless-sync yes\nrepl-diskless-sync-delay 0\n'
            )
            process.stdin.close()
            with redis.Redis(LOCAL, port, password=secret) as client:
                wait_until(lambda: _answers(client), what="another redis-server", seconds=START_SECONDS, alive=process)
            yield port
        finally:
            process.terminate()
            process.wait()


def _answers(client: redis.Redis) -> bool:
    try:
        return bool(client.ping())
    except redis.RedisError:
        return False


def _state(stack: DrillStack) -> LaptopState:
    state = load_state(stack.layout)
    if state is None:
        raise CommandFailed("The stack has no state", where=str(stack.home), next="teal up")
    return state
