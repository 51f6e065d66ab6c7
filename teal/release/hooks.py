"""Runs the hooks before and after a step. A failed hook undoes the release; a hook that times out acts by its `on_timeout`."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Final, Literal

import httpx

from contract.steering import Hook
from teal.errors import OperatorError
from teal.events import Event
from teal.record.releases import PlannedStep
from teal.release.context import ReleaseRun
from teal.release.steering import resolve_secret
from teal.terminal.writer import visible_text

MOST_CHARACTERS: Final = 2_000  # of a hook's output; its end says what went wrong
MOST_BYTES: Final = 65_536  # of a response to a POST that are read
_PASSED: Final = ("PATH", "HOME", "LANG", "LC_ALL", "TMPDIR", "TZ", "SSL_CERT_FILE", "HTTPS_PROXY", "NO_PROXY")
_MASK: Final = "***"


class HookFailed(OperatorError):
    """A hook failed, or timed out where its `on_timeout` counts that as a failure."""

    code = "hook-failed"


@dataclass(frozen=True, slots=True)
class HookResult:
    """The result of a hook. `late`: it timed out.
    `text`: its output, without terminal control characters and without its secrets."""

    ok: bool
    late: bool
    text: str


def hooks_of(run: ReleaseRun, step: PlannedStep, when: Literal["before", "after"]) -> Iterator[Event]:
    """Run the hooks of a step in the order of the file. Raises HookFailed."""
    for hook in run.steering.hooks:
        if hook.when != when or hook.step not in (step.action, step.name):
            continue
        yield Event(step.name, "progress", f"hook {hook.name}: {hook.says()}")
        said = perform(hook, document(run, step, hook), os.environ, run.lease.keep, run.target.rules.lease_seconds / 4)
        text = f": {said.text}" if said.text else ""
        if said.late and hook.on_timeout == "continue":
            yield Event(
                step.name, "warn", f"hook {hook.name} did not end within {hook.timeout_seconds:g} s; the release goes on{text}"
            )
        elif not said.ok:
            why = f"did not end within {hook.timeout_seconds:g} s" if said.late else "failed"
            raise HookFailed(f"Hook {hook.name} {when} {step.name} {why}{text}", where=step.name, next="teal history")
        else:
            yield Event(step.name, "progress", f"hook {hook.name} is done{text}")


def document(run: ReleaseRun, step: PlannedStep, hook: Hook) -> dict[str, Any]:
    """The JSON document that a hook receives."""
    return {"hook": hook.name, "when": hook.when, "step": step.name, "percent": step.percent, "target": run.target.name,
            "release": run.plan.id, "color": run.new, "replaces": run.old, "image": run.plan.state.image, "label": run.plan.state.label}  # fmt: skip


def perform(
    hook: Hook, told: Mapping[str, Any], environ: Mapping[str, str], keep: Callable[[], object], keep_seconds: float
) -> HookResult:
    """Run a hook to its end or its timeout. `keep` is called meanwhile; if it raises, the hook is ended too.
    Raises BadInput for a missing secret."""
    secrets = {name: resolve_secret(reference, environ, f"hook {hook.name}: {name}") for name, reference in hook.secrets.items()}
    body = json.dumps(told).encode()
    if hook.run:
        ok, late, raw = _command(hook, body, secrets, environ, keep, keep_seconds)
    else:
        post = hook.post or ""
        hidden = not post.startswith("http")
        address = resolve_secret(post, environ, f"hook {hook.name}: post") if hidden else post
        ok, late, raw = _posted(hook, address, body, secrets, keep, keep_seconds)
        secrets = {**secrets, **({"post": address} if hidden else {})}
    return HookResult(ok, late, cleaned(raw, secrets.values()))


def cleaned(raw: bytes, secrets: Any = ()) -> str:
    """The end of a hook's output, made safe for the terminal, the record and a page."""
    text = raw.decode("utf-8", "replace")
    for secret in sorted(secrets, key=len, reverse=True):
        text = text.replace(secret, _MASK)
    return visible_text(text.strip())[-MOST_CHARACTERS:]


def _command(hook: Hook, body: bytes, secrets: Mapping[str, str], environ: Mapping[str, str], keep: Callable[[], object],
             keep_seconds: float) -> tuple[bool, bool, bytes]:  # fmt: skip
    """Run the command without a shell, in its own session, so that all its child processes end with it."""
    env = {name: value for name, value in environ.items() if name in _PASSED} | dict(secrets)
    with tempfile.TemporaryFile() as given, tempfile.TemporaryFile() as written:
        given.write(body)
        given.seek(0)
        try:
            process = subprocess.Popen(  # noqa: S603 - the operator's own command
                hook.run, stdin=given, stdout=written, stderr=subprocess.STDOUT, env=env, start_new_session=True
            )
        except OSError as error:
            return False, False, f"{hook.run[0]} did not start: {error.strerror}".encode()
        try:
            late = not _until(lambda seconds: _ended(process, seconds), hook.timeout_seconds, keep, keep_seconds)
        finally:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        written.seek(max(0, written.seek(0, os.SEEK_END) - 8 * MOST_CHARACTERS))
        return not late and process.returncode == 0, late, written.read()


def _ended(process: subprocess.Popen[bytes], seconds: float) -> bool:
    try:
        process.wait(seconds)
    except subprocess.TimeoutExpired:
        return False
    return True


def _posted(hook: Hook, address: str, body: bytes, headers: Mapping[str, str], keep: Callable[[], object],
            keep_seconds: float) -> tuple[bool, bool, bytes]:  # fmt: skip
    """Send the POST in a thread, because httpx limits each read but not the whole:
    a response in small pieces would never time out."""
    found: list[tuple[bool, bytes]] = []
    deadline = time.monotonic() + hook.timeout_seconds

    def post() -> None:
        try:
            with httpx.stream("POST", address, content=body, headers={"Content-Type": "application/json", **headers},
                              timeout=hook.timeout_seconds) as answer:  # fmt: skip
                read = b""
                for part in answer.iter_bytes():
                    read = (read + part)[:MOST_BYTES]
                    if time.monotonic() > deadline:
                        return
                found.append((answer.is_success, f"{answer.status_code} ".encode() + read))
        except (httpx.HTTPError, httpx.InvalidURL, ValueError) as error:
            found.append((False, f"it did not answer: {type(error).__name__}".encode()))

    thread = threading.Thread(target=post, name=f"hook-{hook.name}", daemon=True)
    thread.start()

    def joined(seconds: float) -> bool:
        thread.join(seconds)
        return not thread.is_alive()

    if not _until(joined, hook.timeout_seconds, keep, keep_seconds) or not found:
        return False, True, b""
    return found[0][0], False, found[0][1]


def _until(waited: Callable[[float], bool], seconds: float, keep: Callable[[], object], keep_seconds: float) -> bool:
    """Wait until it ended or the time is over, calling `keep` meanwhile; returns whether it ended."""
    deadline = time.monotonic() + seconds
    while (left := deadline - time.monotonic()) > 0:
        if waited(min(left, keep_seconds)):
            return True
        keep()
    return False
