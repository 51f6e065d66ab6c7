"""What `teal status` says, and what clients see, while a part of the laptop stack is frozen, away or killed. Nobody restarts anything."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.laptop.test_stack import Stack, stack
from tests.parts.app.service import until
from tests.parts.app.slow_socket import SlowSocket
from tests.services import postgres_process
from tests.services.postgres_server import home_of
from tests.services.required import require

pytestmark = [pytest.mark.integration, pytest.mark.long]
__all__ = ["stack"]  # the fixture

STATUS_SECONDS = (
    30.0  # a frozen catalog is given up after 6 s, a hanging engine after 2; a machine with ten busy processes a core took 15
)
NOTICED_SECONDS = 40.0
PAUSE_SECONDS = 0.01  # between two documents of one key, which may send 200 a second: a fast machine answers sooner than in 5 ms


def status(stack: Stack) -> dict[str, Any]:
    """What it says now, after what must hold at all times."""
    began = time.monotonic()
    done = stack.teal("status", "--json")
    assert time.monotonic() - began < STATUS_SECONDS
    assert "Traceback" not in done.stdout + done.stderr
    said: dict[str, Any] = json.loads(done.stdout)
    assert done.returncode == (0 if said["healthy"] else 1)
    assert said["healthy"] is all(row["ok"] for row in said["rows"])
    return said


def names(stack: Stack, word: str) -> Callable[[], bool]:
    """Whether a row that is not well speaks of `word`."""
    return lambda: any(not row["ok"] and word in f"{row['part']} {row['detail']}".lower() for row in status(stack)["rows"])


def healthy(stack: Stack) -> bool:
    return bool(status(stack)["healthy"])


@contextmanager
def frozen(*pids: int) -> Iterator[None]:
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        for pid in pids:
            os.kill(pid, signal.SIGCONT)


def pid_of(stack: Stack, part: str) -> int:
    return next((pid for pid, name in stack.processes().items() if name == part), 0)


def test_status_tells_the_truth_while_each_part_is_away(stack: Stack, elasticsearch_url: str, tmp_path: Path) -> None:
    require(
        "PostgreSQL", postgres_process.HINT, postgres_process.binaries() is not None and "TEST_DATABASE_URL" not in os.environ
    )
    proxy = SlowSocket(elasticsearch_url)
    with postgres_process.start(tmp_path) as url:
        try:
            outside = {"DATABASE_URL": url, "ELASTICSEARCH_URL": proxy.url, "TEAL_INDEX": f"status-{os.getpid()}"}
            started = stack.teal(
                "up", "--no-corpus", "--json", "--port", str(stack.port), "--search", "elasticsearch", environ=outside
            )
            assert started.returncode == 0, started.stdout + started.stderr
            until("all is well", lambda: healthy(stack), NOTICED_SECONDS)
            for mode in ("refuse", "hang"):
                proxy.become(mode)  # type: ignore[arg-type]
                until(f"Elasticsearch is named while it would {mode}", names(stack, "elasticsearch"), NOTICED_SECONDS)
            proxy.become("pass")
            until("all is well after Elasticsearch", lambda: healthy(stack), NOTICED_SECONDS)
            for part in ("redis", "blue-app-0"):
                with frozen(pid_of(stack, part)):
                    until(f"{part} is named", names(stack, part), NOTICED_SECONDS)
                until(f"all is well after {part}", lambda: healthy(stack), NOTICED_SECONDS)
            home = home_of(url)
            leader = int((home / "data" / "postmaster.pid").read_text().splitlines()[0])
            children = subprocess.run(["pgrep", "-P", str(leader)], capture_output=True, text=True, check=False).stdout.split()
            with frozen(leader, *map(int, children)):
                until("the catalog is named", names(stack, "catalog"), NOTICED_SECONDS)
            until("all is well after PostgreSQL", lambda: healthy(stack), NOTICED_SECONDS)
            worker = pid_of(stack, "blue-worker")
            os.kill(worker, signal.SIGKILL)
            until("another worker runs", lambda: pid_of(stack, "blue-worker") not in (0, worker), NOTICED_SECONDS)
            until("all is well after the worker", lambda: healthy(stack), NOTICED_SECONDS)
        finally:
            stack.teal("down")
            proxy.close()


def test_killed_caddy_returns_by_itself_and_costs_only_connections(stack: Stack) -> None:
    stack.up()
    key = json.loads(stack.teal("keys", "create", "--role", "writer", "--json").stdout)["key"]
    accepted: list[str] = []
    lost: list[float] = []
    stop = threading.Event()

    def write() -> None:
        number = 0
        with stack.http() as http:
            while not stop.is_set():
                body = {"title": f"Number {number}", "text": f"The {number}th bird is a wagtail{number}."}
                try:
                    answer = http.post("/v1/documents", json=body, headers={"Authorization": f"Bearer {key}"})
                except httpx.TransportError:
                    lost.append(time.monotonic())
                    time.sleep(0.05)
                    continue  # sent again: the same document
                assert answer.status_code == 202, answer.text
                accepted.append(answer.json()["id"])
                number += 1
                stop.wait(PAUSE_SECONDS)

    writing = threading.Thread(target=write)
    writing.start()
    try:
        until("documents are accepted", lambda: len(accepted) > 10)
        caddy = pid_of(stack, "caddy")
        os.kill(caddy, signal.SIGKILL)
        killed = time.monotonic()
        until("another Caddy runs", lambda: pid_of(stack, "caddy") not in (0, caddy), 20)
        so_far = len(accepted)
        until("documents are accepted again", lambda: len(accepted) > so_far + 10, 20)
    finally:
        stop.set()
        writing.join()
    assert max(lost, default=killed) - killed < 15
    assert len(set(accepted)) == len(accepted)
    with stack.http() as http:
        http.headers["Authorization"] = f"Bearer {key}"

        def indexed() -> bool:
            counts = http.get("/v1/status").raise_for_status().json()["documents"]
            return bool(counts == {"queued": 0, "processing": 0, "indexed": len(accepted), "failed": 0})

        until("each accepted document is indexed, once", indexed, 90)
        for document_id in accepted:
            assert http.get(f"/v1/documents/{document_id}").json()["status"] == "indexed"
    assert stack.teal("status").returncode == 0
