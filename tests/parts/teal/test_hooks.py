"""Hooks as real commands and real HTTP calls on loopback."""

from __future__ import annotations

import json
import os
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from contract.steering import Hook
from teal.errors import BadInput
from teal.release.hooks import HookResult, perform
from tests.services.http_stand_in import Handler, listening

TOLD = {"release": "r1", "step": "shift-5"}
SECRET = "geheim-1234"  # pragma: allowlist secret


def nothing() -> None:
    """The lease of nobody."""


def command(script: str, **given: Any) -> Hook:
    return Hook(name="h", before="deploy", run=(sys.executable, "-c", script), **given)


def done(hook: Hook, **environ: str) -> HookResult:
    return perform(hook, TOLD, {"PATH": os.environ["PATH"], **environ}, nothing, 0.05)


@contextmanager
def service(
    status: int = 200, body: bytes = b"", drips: bool = False, hangs: bool = False
) -> Iterator[tuple[str, list[tuple[dict[str, str], Any]]]]:
    """A receiver on loopback, and the headers and bodies it was sent. `drips`: its answer has no end; `hangs`: no beginning."""
    over = threading.Event()
    received: list[tuple[dict[str, str], Any]] = []

    class Receiver(Handler):
        def do_POST(self) -> None:
            received.append((dict(self.headers), json.loads(self.received())))
            try:
                if hangs:
                    over.wait()
                self.send_response(status)
                self.end_headers()
                while drips and not over.wait(0.05):
                    self.wfile.write(b".")
                self.wfile.write(body)
            except OSError:  # the hook gave up
                return

    with listening(Receiver) as port:
        try:
            yield f"http://127.0.0.1:{port}/hook", received
        finally:
            over.set()


def test_a_command_is_told_what_is_released_on_its_standard_input() -> None:
    said = done(command("import sys, json; print(json.load(sys.stdin)['step'])"))
    assert said == HookResult(ok=True, late=False, text="shift-5")


def test_a_command_gets_its_secrets_in_its_environment_alone_and_nothing_else_of_the_shell(tmp_path: Path) -> None:
    place = tmp_path / "secret"
    place.write_text(f"{SECRET}\n", encoding="utf-8")
    script = "import os, sys; print(sorted(name for name in os.environ if name.isupper()), os.environ['TOKEN'] == os.environ['OTHER'], os.environ['TOKEN'], sys.argv)"
    hook = command(script, secrets={"TOKEN": "env:SHELL_TOKEN", "OTHER": f"file:{place}"})
    said = done(hook, SHELL_TOKEN=SECRET, AWS_SECRET_ACCESS_KEY="not-for-hooks")  # pragma: allowlist secret
    assert said.ok
    assert SECRET not in said.text
    assert "True *** " in said.text
    assert "AWS_SECRET_ACCESS_KEY" not in said.text
    with pytest.raises(BadInput, match="env:SHELL_TOKEN is empty or not set"):
        done(hook)


def test_a_command_that_fails_or_is_not_there_says_why() -> None:
    assert done(command("import sys; print('no room \\x1b[31m'); sys.exit(3)")) == HookResult(
        ok=False, late=False, text="no room \\x1b[31m"
    )
    assert (
        done(Hook(name="h", before="deploy", run=("/no/such/command",))).text
        == "/no/such/command did not start: No such file or directory"
    )


def test_a_late_command_ends_with_all_that_it_started(tmp_path: Path) -> None:
    pid = tmp_path / "pid"
    script = f"import subprocess, time; p = subprocess.Popen(['sleep', '60']); open({str(pid)!r}, 'w').write(str(p.pid)); print('begun', flush=True); time.sleep(60)"
    began = time.monotonic()
    said = done(command(script, timeout_seconds=3))
    assert (said.ok, said.late, said.text) == (False, True, "begun")
    assert time.monotonic() - began < 30
    child = int(pid.read_text(encoding="utf-8"))
    deadline = time.monotonic() + 10
    while _runs(child) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not _runs(child)


def _runs(pid: int) -> bool:
    """A zombie that nobody has asked after yet does not run."""
    try:
        return Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rsplit(")", 1)[1].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_the_lease_is_kept_while_a_hook_runs_and_losing_it_ends_the_hook() -> None:
    kept: list[int] = []

    def keep() -> None:
        kept.append(1)
        if len(kept) == 3:
            raise KeyboardInterrupt

    began = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        perform(command("import time; time.sleep(60)"), TOLD, {"PATH": os.environ["PATH"]}, keep, 0.05)
    assert time.monotonic() - began < 30
    assert len(kept) == 3


def test_a_post_has_the_release_as_its_body_and_secrets_as_headers() -> None:
    with service(body=b"fine") as (address, received):
        said = done(Hook(name="h", after="hold", post=address, secrets={"Authorization": "env:T"}), T=f"Bearer {SECRET}")
    assert said == HookResult(ok=True, late=False, text="200 fine")
    ((headers, body),) = received
    assert body == TOLD
    assert headers["Authorization"] == f"Bearer {SECRET}"


def test_a_post_that_is_refused_says_with_what_and_never_shows_a_secret_address() -> None:
    with service(status=503, body=f"no {SECRET}".encode()) as (address, _):
        said = done(Hook(name="h", after="hold", post="env:WHERE", secrets={"X-Token": "env:T"}), WHERE=address, T=SECRET)
    assert said == HookResult(ok=False, late=False, text="503 no ***")
    gone = done(Hook(name="h", after="hold", post="env:WHERE"), WHERE=address)  # nobody listens any more
    assert not gone.ok
    assert "127.0.0.1" not in gone.text


def test_an_answer_that_drips_is_late_when_its_time_is_over() -> None:
    with service(drips=True) as (address, _):
        began = time.monotonic()
        said = done(Hook(name="h", after="hold", post=address, timeout_seconds=1))
        assert (said.ok, said.late) == (False, True)
        assert time.monotonic() - began < 20
