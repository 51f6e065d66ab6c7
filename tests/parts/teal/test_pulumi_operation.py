"""An operation of Pulumi's engine that nobody waits for any more, and who holds a stack. The command is a stand-in; see tests/engine."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import pytest

pytest.importorskip("pulumi.automation")
from pulumi.automation import EngineEvent, StdoutEngineEvent

from teal.aws.pulumi import operation as pulumi_operation
from teal.aws.pulumi.locks import holders_running_here, lock_holders
from teal.aws.pulumi.operation import Operation, end_processes
from tests.services import aws_server

STACK = "dev-green"


# Signals are waited for, not trapped: a shell may not trap what was ignored where it was started, as SIGINT is in the background,
# and none can come between two steps of a loop. Half a second after the first it ends, so that a second would be seen.
COMMAND = """#!{python}
import pathlib, signal
folder, signals = pathlib.Path({folder!r}), {{signal.SIGINT, signal.SIGTERM}}
signal.pthread_sigmask(signal.SIG_BLOCK, signals)
(folder / "works").touch()
wait_seconds = 60
while signal.sigtimedwait(signals, wait_seconds):
    with (folder / "signals").open("a") as file:
        file.write("told\\n")
    wait_seconds = 0.5
"""


@pytest.fixture
def command(tmp_path: Path) -> Path:
    """Works for a minute, and writes down each signal; half a second after the last it ends."""
    script = tmp_path / "pulumi"
    script.write_text(COMMAND.format(python=sys.executable, folder=str(tmp_path)))
    script.chmod(0o755)
    return script


def operation(command: Path, before: Callable[[Callable[[EngineEvent], Any]], None] = lambda _: None) -> Operation:
    def run(tell: Callable[[EngineEvent], Any]) -> None:
        before(tell)
        subprocess.run([command, "up", "--stack", STACK], check=False)

    return Operation("deploy", STACK, run)


def started(events: Any, folder: Path) -> None:
    """Until the command works; its sign of life is an event."""
    while not (folder / "works").exists():
        next(events)


def signals(folder: Path) -> list[str]:
    return (folder / "signals").read_text().split() if (folder / "signals").exists() else []


@pytest.fixture(autouse=True)
def brisk(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pulumi_operation, "TELL_SECONDS", 0.1)
    monkeypatch.setattr(pulumi_operation, "NOTICE_SECONDS", 0.1)


def test_whoever_stops_listening_ends_pulumi_by_one_request_and_waits_for_it(command: Path, tmp_path: Path) -> None:
    events = operation(command).events()
    started(events, tmp_path)
    assert next(events).state == "progress", "a long silence is told too, so that a releaser looks at the record"
    events.close()
    assert signals(tmp_path) == ["told"]


def test_pulumi_that_got_the_terminal_s_ctrl_c_is_not_told_again(command: Path, tmp_path: Path) -> None:
    """A second signal would make it leave resources that its state does not know."""

    def interrupted(tell: Callable[[EngineEvent], Any]) -> None:
        tell(EngineEvent(sequence=1, timestamp=0, stdout_event=StdoutEngineEvent("^C received; cancelling.", "")))

    events = operation(command, interrupted).events()
    started(events, tmp_path)  # reads Pulumi's word about the signal as well: it must be known all the same
    (child,) = [one for one in psutil.Process().children() if STACK in one.cmdline()]
    child.send_signal(signal.SIGINT)
    events.close()
    assert signals(tmp_path) == ["told"]
    assert not child.is_running()


def test_a_pulumi_that_outlived_its_releaser_is_found_by_its_lock_and_ended(command: Path, tmp_path: Path) -> None:
    """`kill -9` of the releaser alone leaves it, and a repair that only removed its lock would work beside it on one state."""
    folder = tmp_path / ".pulumi" / "locks" / "organization" / "teal-service" / STACK
    folder.mkdir(parents=True)

    def lock(pid: int, hostname: str) -> None:
        (folder / f"{hostname}-{pid}.json").write_text(json.dumps({"pid": pid, "hostname": hostname}))

    with subprocess.Popen([command, "up"]) as left, subprocess.Popen(["sleep", "60"]) as other:
        try:
            lock(left.pid, socket.gethostname())
            lock(other.pid, socket.gethostname())  # a number that another program has by now
            lock(left.pid, "another-machine")
            while not (tmp_path / "works").exists():
                time.sleep(0.01)
            found = holders_running_here(f"file://{tmp_path}", "teal-service", STACK)
            assert [process.pid for process in found] == [left.pid]
            said = list(end_processes("mend", found))
            assert {event.state for event in said} == {"progress"}
            assert signals(tmp_path) == ["told"], "once: at a second signal it would not write its state"
            assert holders_running_here(f"file://{tmp_path}", "teal-service", STACK) == []
            assert other.poll() is None
        finally:
            left.kill()
            other.kill()


@pytest.mark.parametrize("place", ["file", "s3"])
def test_who_holds_a_stack_is_read_where_pulumi_writes_it(place: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    body = json.dumps({"pid": 7, "username": "ann", "hostname": "runner", "timestamp": "2026-11-22T00:00:00Z"}).encode()
    key = f".pulumi/locks/organization/teal-service/{STACK}/00000000.json"
    with aws_server.start() as aws:
        aws.reset()
        if place == "s3":
            for name, value in (
                ("AWS_ENDPOINT_URL", aws.url),
                ("AWS_ACCESS_KEY_ID", "testing"),
                ("AWS_SECRET_ACCESS_KEY", "testing"),
            ):
                monkeypatch.setenv(name, value)
            aws.client("s3").create_bucket(Bucket="state", CreateBucketConfiguration={"LocationConstraint": aws_server.REGION})
            aws.client("s3").put_object(Bucket="state", Key=key, Body=body)
            url = f"s3://state?region={aws_server.REGION}"
        else:
            (tmp_path / key).parent.mkdir(parents=True)
            (tmp_path / key).write_bytes(body)
            url = f"file://{tmp_path}"
        assert lock_holders(url, "teal-service", STACK) == ("locked by ann@runner (pid 7) since 2026-11-22T00:00:00Z",)
        assert lock_holders(url, "teal-service", "dev-blue") == ()
    assert lock_holders("https://api.example", "teal-service", STACK) == ()
