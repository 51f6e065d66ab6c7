"""`teal status` and `teal up` on a real stack to which something happened that leaves every process there."""

from __future__ import annotations

import json
import os
import shutil
import signal
import sqlite3
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.laptop.test_stack import HEALTHY_SECONDS, Stack, stack

pytestmark = [pytest.mark.integration, pytest.mark.long]
__all__ = ["stack"]  # the fixture


def faults(stack: Stack) -> dict[str, str]:
    """The rows that are not well, and what each says; the exit code must agree."""
    done = stack.teal("status", "--json")
    said = json.loads(done.stdout)
    found = {row["part"]: row["detail"] for row in said["rows"] if not row["ok"]}
    assert (done.returncode, said["healthy"]) == ((1, False) if found else (0, True))
    return found


def wait_healthy(stack: Stack) -> None:
    deadline = time.monotonic() + HEALTHY_SECONDS
    while found := faults(stack):
        assert time.monotonic() < deadline, found


def test_what_stands_still_is_not_called_healthy(stack: Stack) -> None:
    stack.up()
    wait_healthy(stack)
    worker = next(pid for pid, part in stack.processes().items() if part == "blue-worker")
    os.kill(worker, signal.SIGSTOP)
    try:
        assert "frozen" in faults(stack)["blue-worker"]
    finally:
        os.kill(worker, signal.SIGCONT)
    wait_healthy(stack)

    holder = sqlite3.connect(stack.layout.data / "catalog.db", isolation_level=None)
    holder.execute("BEGIN IMMEDIATE")
    try:
        assert "takes no write" in faults(stack)["catalog"]
    finally:
        holder.execute("ROLLBACK")
        holder.close()
    wait_healthy(stack)

    shutil.rmtree(stack.layout.backups, ignore_errors=True)
    stack.layout.backups.write_text("a file where the folder should be")
    assert "none can be taken" in faults(stack)["snapshots"]
    stack.layout.backups.unlink()
    wait_healthy(stack)


def test_an_expired_certificate_is_named_and_up_mends_it(stack: Stack) -> None:
    stack.up()
    kept = (configuration := stack.layout.conf / "Caddyfile").read_text(encoding="utf-8")
    short = kept.replace("tls internal", "tls {\n\t\tissuer internal {\n\t\t\tlifetime 4s\n\t\t}\n\t}")
    assert short != kept
    configuration.write_text(short, encoding="utf-8")
    shutil.rmtree(stack.layout.caddy / "certificates")
    os.kill(next(pid for pid, part in stack.processes().items() if part == "caddy"), signal.SIGKILL)
    deadline = time.monotonic() + 30
    while "expired" not in faults(stack).get("certificate", ""):
        assert time.monotonic() < deadline
    configuration.write_text(kept, encoding="utf-8")
    asked = stack.teal("ask", "anything?")
    assert "its certificate has expired: `teal up` makes a new one" in asked.stderr
    before = {pid for pid, part in stack.processes().items() if part.startswith("blue-")}
    stack.up()
    assert before <= set(stack.processes()), "mending the certificate restarted what was well"
    wait_healthy(stack)


@pytest.fixture
def long_home(tmp_path: Path) -> Iterator[Path]:
    """A folder too deep for a unix socket, so that the sockets lie elsewhere."""
    folder = tmp_path / ("deep-" * 20) / ".teal"
    folder.parent.mkdir()
    return folder


def test_another_temporary_folder_finds_the_same_stack_and_ends_nothing(stack: Stack, long_home: Path) -> None:
    deep = Stack(long_home, stack.port)
    try:
        deep.up()
        before = deep.processes()
        with tempfile.TemporaryDirectory() as elsewhere:
            status = deep.teal("status", environ={"TMPDIR": elsewhere})
            assert status.returncode == 0, status.stdout
            again = deep.teal("up", "--no-corpus", environ={"TMPDIR": elsewhere})
        assert again.returncode == 0, again.stderr
        assert "left over" not in again.stdout
        assert deep.processes() == before

        socket = deep.layout.socket
        socket.rename(socket.with_name("hidden"))  # what answers people is no left-over, though its control socket is gone
        held = deep.teal("up", "--no-corpus")
        assert held.returncode == 3
        assert "teal down" in held.stderr
        assert deep.processes() == before
    finally:
        assert deep.teal("down").returncode == 0
        assert deep.processes() == {}


def test_a_setting_that_is_not_valid_is_named_within_ten_seconds_of_the_start(stack: Stack) -> None:
    stack.up()
    began = time.monotonic()
    failed = stack.teal("up", "--no-corpus", environ={"TEAL_CANDIDATES": "many"})
    assert failed.returncode != 0
    assert "TEAL_CANDIDATES" in failed.stdout + failed.stderr
    assert time.monotonic() - began < 40  # with stopping what ran, and the start of every program
