"""A real service of its own: app processes and a worker on real parts, in a folder that is thrown away."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

import httpx
import pytest

from tests.services import postgres_process
from tests.services.ports import free_port
from tests.services.redis_process import RedisProcess

MODELS = Path(__file__).parents[3] / ".teal" / "models"
_START_SECONDS = 90.0  # a busy machine: each process imports DBOS and opens the models
_INDEX_SECONDS = 60.0


@contextmanager
def real_stores(request: pytest.FixtureRequest, index: str) -> Iterator[dict[str, str]]:
    """The settings of a service on the session's PostgreSQL, Elasticsearch and Redis, with a database and an index of its own: in a shared
    catalog a document is indexed only when the other service's index has it too, and that service has ended."""
    redis: RedisProcess = request.getfixturevalue("redis_server")
    with postgres_process.fresh_database(request.getfixturevalue("postgres_url")) as database:
        yield {
            "TEAL_SEARCH": "elasticsearch",
            "ELASTICSEARCH_URL": request.getfixturevalue("elasticsearch_url"),
            "DATABASE_URL": database,
            "REDIS_URL": redis.url,
            "TEAL_INDEX": f"{index}-{uuid.uuid4().hex[:8]}",
        }


@dataclass
class Service:
    """`apps` app processes and one worker. Every process is ended by `stop`."""

    folder: Path
    environment: Mapping[str, str] = field(default_factory=dict)
    apps: int = 1
    processes: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)
    ports: list[int] = field(default_factory=list)
    worker_port: int = 0  # of its metrics
    _logs: list[IO[bytes]] = field(default_factory=list)

    def env(self) -> dict[str, str]:
        kept = {name: value for name, value in os.environ.items() if not name.startswith("TEAL_") and not name.endswith("_URL")}
        own = {"TEAL_STATE_DIR": str(self.folder / "data"), "TEAL_MODEL_DIR": str(MODELS), "TEAL_RELEASE_ID": "test"}
        own |= {"TEAL_BACKUP_DIR": str(self.folder / "backups"), "TEAL_BACKUP_KEY": str(self.folder / "keys" / "backup.key")}
        own["TEAL_BACKUP_HOURS"] = "0"
        own["TEAL_METRICS_PEERS"] = ",".join(self.peers())
        return kept | own | dict(self.environment)

    def start(self, *, until: str = "ready") -> Service:
        """Start everything and wait until each app's /readyz has the status `until`. What did start ends when that fails."""
        self.admin("migrate")
        self.ports = [free_port() for _ in range(self.apps)]
        self.worker_port = free_port()
        try:
            self.start_worker()
            for number in range(self.apps):
                self.start_app(number)
            self.wait_ready(until)
        except BaseException:
            self.stop()
            raise
        return self

    def start_app(self, number: int) -> None:
        self.spawn(f"app-{number}", ["-m", "app.main", "--port", str(self.ports[number])], {"TEAL_SLOT": str(number)})

    def start_worker(self) -> None:
        self.spawn("worker", ["-m", "app.worker", "--metrics-port", str(self.worker_port)], {"TEAL_SLOT": "w"})

    def peers(self) -> list[str]:
        """Where every process serves its metrics."""
        return [f"http://127.0.0.1:{port}/metrics" for port in (*self.ports, self.worker_port)]

    def wait_ready(self, until: str = "ready") -> None:
        deadline = time.monotonic() + _START_SECONDS
        for port in self.ports:
            while True:
                try:
                    body = httpx.get(f"http://127.0.0.1:{port}/readyz", timeout=2).json()
                    if body["status"] == until:
                        break
                except (httpx.TransportError, ValueError):
                    body = None
                if time.monotonic() > deadline:
                    raise TimeoutError(f"not ready: {body}; {self.log_tail()}")
                time.sleep(0.1)

    def admin(self, *arguments: str) -> list[dict[str, Any]]:
        """Run `python -m app.admin ...`; its JSON lines."""
        done = subprocess.run(
            [sys.executable, "-m", "app.admin", *arguments],
            env=self.env(),
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        if done.returncode:
            raise RuntimeError(f"app.admin {arguments}: {done.stdout} {done.stderr}")
        return [json.loads(line) for line in done.stdout.splitlines()]

    def key(self, role: str, *collections: str) -> str:
        options = [part for name in collections for part in ("--collection", name)]
        key: str = self.admin("keys", "create", "--role", role, "--name", f"test-{role}", *options)[0]["key"]
        return key

    def client(self, role: str = "admin", *collections: str, app: int = 0) -> httpx.Client:
        return self.client_with(self.key(role, *collections), app=app)

    def client_with(self, key: str | None, *, app: int = 0) -> httpx.Client:
        headers = {"Authorization": f"Bearer {key}"} if key else {}
        return httpx.Client(base_url=f"http://127.0.0.1:{self.ports[app]}", headers=headers, timeout=30)

    def kill(self, name: str, how: signal.Signals = signal.SIGKILL) -> int:
        process = self.processes.pop(name)
        process.send_signal(how)
        return process.wait(45)

    def stop(self) -> None:
        for process in self.processes.values():
            process.kill()
            process.wait(10)
        self.processes.clear()
        for log in self._logs:
            log.close()

    def log_tail(self) -> str:
        return "\n".join((self.folder / f"{name}.log").read_text()[-1500:] for name in self.processes)

    def spawn(self, name: str, arguments: list[str], extra: dict[str, str]) -> None:
        log = (self.folder / f"{name}.log").open("ab")
        self._logs.append(log)
        self.processes[name] = subprocess.Popen([sys.executable, *arguments], env=self.env() | extra, stdout=log, stderr=log)


def until(what: str, holds: Callable[[], bool], seconds: float = 40, *, each_seconds: float = 0.1) -> None:
    """Return when `holds`; fail when it did not within `seconds`."""
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline, f"after {seconds} s still not: {what}"
        time.sleep(each_seconds)


def wait_status(client: httpx.Client, document_id: str, *wanted: str) -> dict[str, Any]:
    """The document when its status is one of `wanted`."""
    deadline = time.monotonic() + _INDEX_SECONDS
    while True:
        body: dict[str, Any] = client.get(f"/v1/documents/{document_id}").json()
        if body.get("status") in wanted:
            return body
        if time.monotonic() > deadline:
            raise TimeoutError(f"{document_id} is {body}, not {wanted}")
        time.sleep(0.1)


def add(client: httpx.Client, title: str, text: str, **more: Any) -> str:
    """Send a document and wait until it is indexed; its id."""
    answer = client.post("/v1/documents", json={"title": title, "text": text, **more})
    assert answer.status_code == 202, answer.text
    document_id: str = answer.json()["id"]
    assert wait_status(client, document_id, "indexed", "failed")["status"] == "indexed"
    return document_id


def sse(response: httpx.Response) -> list[tuple[str, dict[str, Any]]]:
    """The events of a stream that is read to its end."""
    events, name = [], ""
    for line in response.iter_lines():
        if line.startswith("event:"):
            name = line[6:].strip()
        elif line.startswith("data:"):
            events.append((name, json.loads(line[5:])))
    return events
