"""The faults: each is caused, tells when all is whole again, and is undone at the end whatever happened."""

from __future__ import annotations

import json
import shutil
import signal
import socket
import ssl
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import replace
from pathlib import Path

from teal.drill import disk
from teal.drill.scene import DrillFailed, Scene, Whole
from teal.drill.stack import DrillStack, another_version
from teal.drill.users import finds
from teal.errors import HELD, OperatorError, Refused
from teal.runbook import Ran
from teal.stack import health
from teal.stack.layout import write_private
from teal.traffic.port import all_to

READY_SECONDS = 150.0  # for a release to come to the step that a drill waits for: 40 s on two idle cores
POLL_SECONDS = 0.1
LEAF_SECONDS = 8  # life of the certificate that is made to expire; long enough to be seen before it does
BALLAST = "ballast.log.1"  # a rotated log by its name: what the runbook removes


def process(part: str) -> Callable[[Scene], AbstractContextManager[Whole]]:
    """SIGKILL to a part. `part` may name the active color as `{active}`."""

    @contextmanager
    def killed(scene: Scene) -> Iterator[Whole]:
        stack = scene.stack
        name = part.format(active=stack.record().active)
        scene.strike()
        gone = stack.kill(name)
        yield lambda: bool(stack.pids(name) - gone) and stack.healthy()

    return killed


@contextmanager
def supervisor(scene: Scene) -> Iterator[Whole]:
    """SIGKILL to supervisord: the kernel ends every part with it."""
    stack = scene.stack
    before = set(stack.processes())
    scene.strike()
    stack.kill("supervisord")
    try:
        yield lambda: not before & set(stack.processes()) and stack.healthy()
    finally:
        if not stack.pids("supervisord"):
            stack.teal("up", "--no-corpus")


@contextmanager
def release(scene: Scene) -> Iterator[Whole]:
    """No fault: another version of the same code is released."""
    stack = scene.stack
    was = stack.record().active
    _name_version(scene, "drill-release")
    scene.strike()
    yield lambda: (record := stack.record()).release is None and record.active not in (None, was) and stack.healthy()


@contextmanager
def unwanted_release(scene: Scene) -> Iterator[Whole]:
    """A release whose new version has all requests, and is not wanted any more."""
    stack = scene.stack
    was = stack.record().active
    if was is None:
        raise DrillFailed("No color is active", where=str(stack.home), next="teal up")
    with _releasing(
        scene, "drill-rollback", {"hold_seconds": 120}
    ) as releaser:  # the window stays open while the runbook is followed
        _await(releaser, lambda: stack.weights().of(was) == 0, scene)
        scene.strike()
        yield lambda: stack.weights() == all_to(was)
        _await(None, lambda: stack.record().release is None, scene)


@contextmanager
def dead_releaser(scene: Scene) -> Iterator[Whole]:
    """SIGKILL to the releaser while both colors have requests."""
    stack = scene.stack
    was = stack.record().active
    with _releasing(scene, "drill-stuck", {"steps": [25, 100], "lease_seconds": 15}) as releaser:
        _await(releaser, lambda: 0 < stack.weights().blue < 100, scene)
        scene.strike()
        releaser.kill()
        releaser.wait()

        def whole() -> bool:
            record = stack.record()
            if record.release is not None or record.lease is not None or record.active is None:
                return False
            return stack.weights() == all_to(record.active) and stack.healthy()

        try:
            yield whole
        finally:
            if stack.record().release is not None:
                _await(None, lambda: stack.teal("repair", "--yes")[0] != HELD, scene)
    if stack.record().active != was:
        raise DrillFailed("The unfinished release was not undone", where=str(stack.home), next="teal history")


@contextmanager
def full_disk(scene: Scene) -> Iterator[Whole]:
    """Every byte of the stack's disk is taken."""
    stack = scene.stack
    ballast = stack.layout.logs / BALLAST
    try:
        scene.strike()
        disk.fill(ballast)
        yield lambda: not ballast.exists() and stack.healthy()
    finally:
        ballast.unlink(missing_ok=True)


@contextmanager
def expired_certificate(scene: Scene) -> Iterator[Whole]:
    """Caddy serves a certificate that ended, as on a machine that slept through the renewal: Caddy looks every 10 minutes.

    Its leaf is replaced by one that lives some seconds; the configuration is put back before anybody reads it again.
    """
    stack, layout = scene.stack, scene.stack.layout
    configuration = layout.conf / "Caddyfile"
    text = configuration.read_text(encoding="utf-8")
    short = text.replace("tls internal", f"tls {{\n\t\tissuer internal {{\n\t\t\tlifetime {LEAF_SECONDS}s\n\t\t}}\n\t}}")
    try:
        write_private(configuration, short)
        shutil.rmtree(layout.caddy / "certificates", ignore_errors=True)
        stack.kill("caddy")
        _await(None, lambda: _handshake(stack) == "", scene)
    finally:
        write_private(configuration, text)
    _await(None, lambda: "expired" in _handshake(stack), scene)
    scene.strike()
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
        except Refused as error:
            return error.status == 401
        return False

    yield ended


def use_new_key(scene: Scene, ran: Ran) -> None:
    """Hand the key that the runbook made to the users; returns when no request with the old one is in flight."""
    try:
        row = json.loads(ran.said.strip().splitlines()[-1])
        scene.key, scene.key_id = str(row["key"]), str(row.get("id", ""))
    except (IndexError, ValueError, KeyError, TypeError) as error:
        raise DrillFailed("Block rotate did not print the new key as a line of JSON", where=f"runbooks/{scene.book.slug}.md",
                          next="edit the page") from error  # fmt: skip
    scene.users.use((scene.key,))


def lost(files: str, *, snapshot: bool = True) -> Callable[[Scene], AbstractContextManager[Whole]]:
    """Files of the stack's data are gone, with the processes that had them open. With `snapshot`, one was taken just before."""

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
        yield lambda: stack.healthy() and finds(stack.url, scene.key, stack.layout.ca)

    return gone


def _name_version(scene: Scene, label: str) -> Path:
    version = f"{label}-{int(time.time())}"
    tree = another_version(scene.stack, scene.folder, version)
    scene.variables |= {"TREE": str(tree), "VERSION": version}
    return tree


@contextmanager
def _releasing(scene: Scene, label: str, rules: dict[str, object]) -> Iterator[subprocess.Popen[str]]:
    """A releaser at work on another version. At the end it is gone, and so is what it may have left."""
    tree = _name_version(scene, label)
    said = json.loads(scene.stack.environ.get("TEAL_RULES") or "{}")
    stack = replace(scene.stack, environ={**scene.stack.environ, "TEAL_RULES": json.dumps(said | rules)})
    releaser = stack.start("release", str(tree), "--version", label, "--json", to=scene.folder / f"{label}.jsonl")
    try:
        yield releaser
    finally:
        if releaser.poll() is None:
            releaser.send_signal(signal.SIGTERM)  # it undoes what it did
            with suppress(subprocess.TimeoutExpired):
                releaser.wait(READY_SECONDS)
            releaser.kill()
            releaser.wait()


def _await(releaser: subprocess.Popen[str] | None, there: Callable[[], bool], scene: Scene) -> None:
    """Poll until it is there. Raises DrillFailed when the releaser ends before, or after READY_SECONDS."""
    deadline = time.monotonic() + READY_SECONDS
    while not _true(there):
        if releaser is not None and releaser.poll() is not None:
            raise DrillFailed(f"The release ended with {releaser.returncode} before the drill could begin", where=str(scene.folder),
                              next="teal history")  # fmt: skip
        if time.monotonic() > deadline:
            raise DrillFailed(f"It did not come to be within {READY_SECONDS:.0f} s", where=str(scene.folder), next="teal status")
        time.sleep(POLL_SECONDS)


def _true(there: Callable[[], bool]) -> bool:
    try:
        return there()
    except OperatorError:
        return False


def _handshake(stack: DrillStack) -> str:
    """What is wrong with the certificate that new connections meet; empty: nothing."""
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
