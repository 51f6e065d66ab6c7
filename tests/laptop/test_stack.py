"""The laptop stack for real: supervisord, Caddy, Redis, the app and its worker. Without a corpus and without a model."""

from __future__ import annotations

import fcntl
import json
import os
import signal
import ssl
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest

from teal.laptop import reap
from teal.laptop.layout import Layout, create_folders
from teal.laptop.marks import HOME_MARK, PART_MARK
from teal.laptop.program import find_program
from tests.services.ports import free_port
from tests.services.required import require

pytestmark = [pytest.mark.integration, pytest.mark.long]
REVIVED_SECONDS = 60  # supervisord and every part start anew, on a machine that other tests use too
HEALTHY_SECONDS = 15  # an app that met no Redis asks again after 5 s


@dataclass
class Stack:
    home: Path
    port: int

    def teal(self, *arguments: str, environ: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
        clean = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith("TEAL_") and name not in ("DATABASE_URL", "REDIS_URL")
        }
        env = clean | {"TEAL_HOME": str(self.home), "TEAL_EMBEDDING": "none"} | (environ or {})
        return subprocess.run(
            [sys.executable, "-m", "teal.cli", *arguments], env=env, capture_output=True, text=True, timeout=200, check=False
        )

    def up(self, *arguments: str) -> list[dict[str, Any]]:
        done = self.teal("up", "--no-corpus", "--port", str(self.port), "--json", *arguments)
        assert done.returncode == 0, done.stdout + done.stderr
        return [json.loads(line) for line in done.stdout.splitlines()]

    @property
    def layout(self) -> Layout:
        return Layout(self.home)

    def processes(self) -> dict[int, str]:
        return {one.pid: one.part for one in reap.find_leftovers(self.layout)}

    def http(self) -> httpx.Client:
        verify = ssl.create_default_context(cafile=str(self.layout.ca))
        return httpx.Client(base_url=f"https://localhost:{self.port}", verify=verify, trust_env=False, timeout=30)


@pytest.fixture
def stack(tmp_path: Path) -> Iterator[Stack]:
    require("caddy and redis-server", "make up", bool(find_program("caddy") and find_program("redis-server")))
    made = Stack(tmp_path / ".teal", free_port())
    yield made
    made.teal("down")
    assert made.processes() == {}


def _gone(pids: list[int], seconds: float) -> bool:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if not any(psutil.pid_exists(pid) and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE for pid in pids):
            return True
        time.sleep(0.05)
    return False


def test_up_serves_https_on_loopback_only_and_a_second_up_changes_nothing(stack: Stack) -> None:
    events = stack.up()
    assert {"supervisor", "redis", "blue-app-0", "blue-app-1", "blue-worker", "caddy", "page"} <= {
        event["step"] for event in events if event["state"] == "ok"
    }
    first = stack.processes()
    assert sorted(first.values()) == [
        "blue-app-0",
        "blue-app-1",
        "blue-worker",
        "caddy",
        "keeper",
        "redis",
        "supervisord",
        "watchdog",
    ]
    listening = {
        row.laddr.ip for row in psutil.net_connections(kind="inet") if row.status == psutil.CONN_LISTEN and row.pid in first
    }
    assert listening
    assert listening <= {"127.0.0.1", "::1"}

    with stack.http() as http:
        assert http.get("/healthz").status_code == 200
        for hidden in ("/metrics", "/admin", "/admin/keys"):
            answer = http.get(hidden)
            assert (answer.status_code, answer.json()["code"]) == (404, "not-found")

    started = time.monotonic()
    stack.up()
    assert time.monotonic() - started < 20
    assert stack.processes() == first
    status = stack.teal("status", "--json")
    assert status.returncode == 0, status.stdout
    assert json.loads(status.stdout)["healthy"] is True

    moved = stack.teal("up", "--no-corpus", "--json", environ={"TEAL_CANDIDATES": "150"})
    assert moved.returncode == 0, moved.stdout
    assert "changed (TEAL_CANDIDATES): restarting" in moved.stdout
    assert not set(first) & set(stack.processes())


def test_killed_supervisord_leaves_no_orphan_and_comes_back_by_itself_with_what_it_ran(stack: Stack) -> None:
    stack.up()
    before = stack.processes()
    leader = next(pid for pid, part in before.items() if part == "supervisord")
    os.kill(leader, signal.SIGKILL)
    assert _gone([pid for pid, part in before.items() if part != "keeper"], 10)
    deadline = time.monotonic() + REVIVED_SECONDS
    while (status := stack.teal("status")).returncode:
        assert time.monotonic() < deadline, status.stdout
    assert "started again by itself" in " ".join(status.stdout.split())
    after = stack.processes()
    assert sorted(after.values()) == sorted(before.values())
    assert set(before) & set(after) == {pid for pid, part in before.items() if part == "keeper"}
    assert stack.teal("down").returncode == 0
    assert stack.processes() == {}, "the keeper took a stack that was brought down for one that died"


def test_a_killed_keeper_is_named_and_up_starts_another(stack: Stack) -> None:
    stack.up()
    before = stack.processes()
    os.kill(next(pid for pid, part in before.items() if part == "keeper"), signal.SIGKILL)
    status = stack.teal("status")
    assert status.returncode == 1
    assert "nobody would start it again" in " ".join(status.stdout.split())
    stack.up()
    assert "keeper" in stack.processes().values()
    assert {pid for pid, part in before.items() if part != "keeper"} <= set(stack.processes())


def test_all_apps_dead_gives_people_a_page_and_programs_a_problem(stack: Stack) -> None:
    stack.up()
    from teal.laptop import supervisor

    with supervisor.open_rpc(stack.layout) as rpc:
        for name in ("blue-app-0", "blue-app-1"):
            rpc.stopProcess(name)
    with stack.http() as http:
        program = http.get("/v1/status")
        assert program.status_code == 503
        assert program.headers["content-type"] == "application/problem+json"
        assert program.json()["code"] == "starting"
        assert program.json()["status"] == 503
        person = http.get("/", headers={"Accept": "text/html,*/*"})
        assert person.status_code == 503
        assert person.headers["content-type"].startswith("text/html")
        assert "tries again by itself" in person.text
        assert "retry-after" in person.headers
        assert person.headers["x-content-type-options"] == "nosniff"
    status = stack.teal("status", "--json")
    assert status.returncode == 1
    assert {row["part"] for row in json.loads(status.stdout)["rows"] if not row["ok"]} >= {"blue-app-0", "blue-app-1", "caddy"}
    stack.up()
    deadline = time.monotonic() + HEALTHY_SECONDS
    while (status := stack.teal("status")).returncode:
        assert time.monotonic() < deadline, status.stdout


def test_one_killed_app_is_not_seen_by_clients_and_comes_back(stack: Stack) -> None:
    stack.up()
    victim = next(pid for pid, part in stack.processes().items() if part == "blue-app-0")
    key = json.loads(stack.teal("keys", "create", "--role", "reader", "--json").stdout)["key"]
    failures = []
    with stack.http() as http:
        deadline, killed = time.monotonic() + 4, False
        while time.monotonic() < deadline:
            answer = http.post("/v1/search", json={"query": "x"}, headers={"Authorization": f"Bearer {key}"})
            if answer.status_code != 200:
                failures.append((answer.status_code, answer.text))
            time.sleep(0.02)  # below the key's 200 requests/s
            if not killed and time.monotonic() > deadline - 3:
                os.kill(victim, signal.SIGKILL)
                killed = True
    assert failures == []
    stack.up()
    assert "blue-app-0" in stack.processes().values()


def test_down_leaves_nothing_running_and_keeps_the_data(stack: Stack) -> None:
    stack.up()
    before = list(stack.processes())
    done = stack.teal("down", "--json")
    assert done.returncode == 0
    assert _gone(before, 5)
    assert stack.layout.admin_key.is_file()
    assert (stack.layout.data / "catalog.db").is_file()
    assert stack.teal("down").returncode == 0


def test_a_held_lock_and_a_taken_port_are_told_apart(stack: Stack) -> None:
    stack.home.mkdir()
    with stack.layout.lock.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        held = stack.teal("up", "--no-corpus", "--json")
    assert held.returncode == 3
    assert json.loads(held.stdout.splitlines()[-1])["error"]["code"] == "held"
    import socket

    with socket.socket() as taken:
        taken.bind(("127.0.0.1", stack.port))
        taken.listen()
        refused = stack.teal("up", "--no-corpus", "--port", str(stack.port))
    assert refused.returncode == 2
    assert f"teal up --port {stack.port + 1}" in refused.stderr
    assert stack.processes() == {}


def test_reaping_ends_what_carries_the_mark_and_nothing_that_only_names_the_folder(stack: Stack) -> None:
    create_folders(stack.layout)
    sleeper = [sys.executable, "-c", "import time; time.sleep(60)", str(stack.home)]
    marked = subprocess.Popen(sleeper, env={**os.environ, HOME_MARK: str(stack.home), PART_MARK: "app-0"})
    other_stack = subprocess.Popen(sleeper, env={**os.environ, HOME_MARK: str(stack.home) + "2", PART_MARK: "app-0"})
    bystander = subprocess.Popen(sleeper, env={**os.environ, "TEAL_HOME": str(stack.home)})
    try:
        time.sleep(0.2)
        assert [one.pid for one in reap.end_leftovers(stack.layout)] == [marked.pid]
        assert _gone([marked.pid], 5)
        assert other_stack.poll() is None
        assert bystander.poll() is None
    finally:
        for process in (marked, other_stack, bystander):
            process.kill()
            process.wait(5)


def test_a_rebuild_over_deleted_files_that_are_still_open_loses_nothing_that_comes_later(stack: Stack, tmp_path: Path) -> None:
    stack.up()
    key = stack.layout.admin_key.read_text(encoding="utf-8").strip()

    def send(word: str) -> None:
        (tmp_path / f"{word}.txt").write_text(f"A sentence about {word}.")
        sent = stack.teal("ingest", str(tmp_path / f"{word}.txt"))
        assert sent.returncode == 0, sent.stderr

    def found(word: str) -> int:
        with stack.http() as http:
            answer = http.post("/v1/search", json={"query": word}, headers={"Authorization": f"Bearer {key}"})
        return len([hit for hit in answer.json()["hits"] if word in hit["passage"]])

    send("zqbeforex")
    before = {pid for pid, part in stack.processes().items() if part.startswith("blue-")}
    for path in stack.layout.data.glob("search*"):
        path.unlink()
    rebuilt = stack.teal("rebuild")
    assert rebuilt.returncode == 0, rebuilt.stdout + rebuilt.stderr
    assert not before & set(stack.processes()), "a process went on with the deleted file"
    send("zqafterx")
    assert (found("zqbeforex"), found("zqafterx")) == (1, 1)
    status = stack.teal("status", "--json")
    assert status.returncode == 0, status.stdout
