"""The faults of drills. Each is a context manager:
it causes the fault, yields a check that all is repaired, and undoes the fault at the end."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import ssl
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress

from teal.drill import disk
from teal.drill.findable import every_question_finds_something
from teal.drill.scene import DrillFailed, Scene, Whole, wait_until
from teal.drill.stack import DrillStack
from teal.errors import ServiceRefused
from teal.laptop import health, status
from teal.laptop.files import write_private
from teal.runbook import BlockResult

CADDY_SECONDS = 30.0  # to start, which takes half a second, or to see its certificate expire, which takes LEAF_SECONDS
LEAF_SECONDS = 8  # life of the certificate that is made to expire; long enough to be seen before it does
NAMED_SECONDS = 15.0  # for `teal status` to report what is broken; it waits 3 s at most for each part
BALLAST = "ballast.log.1"  # has the name of a rotated log, which the runbook removes


def killed_process(part: str) -> Callable[[Scene], AbstractContextManager[Whole]]:
    """SIGKILL to a part. `part` may name the active color as `{active}`."""

    @contextmanager
    def killed(scene: Scene) -> Iterator[Whole]:
        stack = scene.stack
        name = part.format(active=stack.record().active)
        scene.strike()
        gone = stack.kill(name)
        yield lambda: bool(stack.pids(name) - gone) and stack.healthy()

    return killed


def frozen_process(part: str) -> Callable[[Scene], AbstractContextManager[Whole]]:
    """SIGSTOP to a part: its process exists but does nothing. Repaired when another process works in its place."""

    @contextmanager
    def stopped(scene: Scene) -> Iterator[Whole]:
        stack = scene.stack
        name = part.format(active=stack.record().active)
        scene.strike()
        still = stack.kill(name, signal.SIGSTOP)
        try:
            wait_until(lambda: names(stack, name), what=f"`teal status` to name {name}", seconds=NAMED_SECONDS)
            yield lambda: bool(stack.pids(name) - still) and not still & stack.pids(name) and stack.healthy()
        finally:
            for pid in still & stack.pids(name):
                with suppress(ProcessLookupError):  # ended meanwhile
                    os.kill(pid, signal.SIGCONT)

    return stopped


def names(stack: DrillStack, part: str) -> bool:
    """Whether `teal status` reports a fault of this part."""
    return any(row.part == part and not row.ok for row in status.status(stack.layout, {}).rows)


@contextmanager
def supervisor(scene: Scene) -> Iterator[Whole]:
    """SIGKILL to supervisord: the kernel ends every part with it."""
    stack = scene.stack
    before = {pid for pid, part in stack.processes().items() if part != "keeper"}  # it survives, and starts the others again
    scene.strike()
    stack.kill("supervisord")
    try:
        yield lambda: not before & set(stack.processes()) and stack.healthy()
    finally:
        if not stack.pids("supervisord"):
            stack.teal("up", "--no-corpus")


@contextmanager
def full_disk(scene: Scene) -> Iterator[Whole]:
    """Every byte of the stack's disk is taken."""
    stack = scene.stack
    ballast = stack.layout.logs / BALLAST
    try:
        scene.strike()
        disk.fill_disk(ballast)
        yield lambda: not ballast.exists() and stack.healthy()
    finally:
        ballast.unlink(missing_ok=True)


@contextmanager
def expired_certificate(scene: Scene) -> Iterator[Whole]:
    """Caddy serves an expired certificate, as on a machine that was asleep when it was to be renewed:
    Caddy checks every 10 minutes.

    The leaf certificate is replaced by one that is valid for some seconds. The configuration is restored before it is read again.
    """
    stack, layout = scene.stack, scene.stack.layout
    configuration = layout.conf / "Caddyfile"
    text = configuration.read_text(encoding="utf-8")
    short = text.replace("tls internal", f"tls {{\n\t\tissuer internal {{\n\t\t\tlifetime {LEAF_SECONDS}s\n\t\t}}\n\t}}")
    try:
        write_private(configuration, short)
        shutil.rmtree(layout.caddy / "certificates", ignore_errors=True)
        stack.kill("caddy")
        wait_until(lambda: _handshake(stack) == "", what="Caddy to serve the short certificate", seconds=CADDY_SECONDS)
    finally:
        write_private(configuration, text)
    wait_until(lambda: "expired" in _handshake(stack), what="the certificate to expire", seconds=CADDY_SECONDS)
    scene.strike()
    wait_until(lambda: names(stack, "certificate"), what="`teal status` to name the certificate", seconds=NAMED_SECONDS)
    try:
        yield lambda: _handshake(stack) == "" and stack.healthy()
    finally:
        if "expired" in _handshake(stack):
            stack.kill("caddy")  # it renews when it starts


@contextmanager
def old_key(scene: Scene) -> Iterator[Whole]:
    """No fault: the users' key is to be replaced while they use it."""
    stack, old = scene.stack, scene.key
    scene.variables |= {"KEY_ID": scene.key_id, "NAME": "drill-rotated"}
    scene.strike()

    def ended() -> bool:
        try:
            with stack.client(old) as client:
                client.get("/v1/status")
        except ServiceRefused as error:
            return error.status == 401
        return False

    yield ended


def use_new_key(scene: Scene, ran: BlockResult) -> None:
    """Give the simulated users the key that the runbook made; returns when no request with the old key is in flight."""
    try:
        row = json.loads(ran.said.strip().splitlines()[-1])
        scene.key, scene.key_id = str(row["key"]), str(row.get("id", ""))
    except (IndexError, ValueError, KeyError, TypeError) as error:
        raise DrillFailed("Block rotate did not print the new key as a line of JSON", where=f"runbooks/{scene.book.slug}.md",
                          next="edit the page") from error  # fmt: skip
    scene.users.use((scene.key,))


def deleted_files(files: str, *, snapshot: bool = True) -> Callable[[Scene], AbstractContextManager[Whole]]:
    """Data files of the stack are deleted, and the processes that had them open are killed.
    With `snapshot`, one is taken just before."""

    @contextmanager
    def gone(scene: Scene) -> Iterator[Whole]:
        stack = scene.stack
        color = stack.record().active
        if snapshot:
            stack.must("snapshot")
        scene.strike()
        for path in stack.layout.data.glob(files):
            path.unlink()
        for part in (f"{color}-worker", f"{color}-app-0", f"{color}-app-1"):
            stack.kill(part)
        yield lambda: stack.healthy() and every_question_finds_something(stack.url, scene.key, stack.layout.ca)

    return gone


def _handshake(stack: DrillStack) -> str:
    """Why new connections refuse the served certificate; empty when they accept it."""
    context = ssl.create_default_context(cafile=str(stack.layout.ca))
    try:
        with (
            socket.create_connection(("127.0.0.1", stack.port), timeout=health.PROBE_SECONDS) as plain,
            context.wrap_socket(plain, server_hostname="localhost"),
        ):
            return ""
    except ssl.SSLCertVerificationError as error:
        return error.verify_message
    except OSError as error:
        return str(error) or type(error).__name__
