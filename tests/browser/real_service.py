"""The service itself for the page's tests: an app process and a worker on SQLite with embedded search and no model."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.conftest import free_port

ROOT = Path(__file__).resolve().parents[2]
START_SECONDS = 40  # app and worker import DBOS and the models' runtime


@dataclass(frozen=True)
class RealService:
    """`peers`: where app and worker serve their metrics."""

    url: str
    key: str
    peers: tuple[str, str]
    app: subprocess.Popen[bytes]
    worker: subprocess.Popen[bytes]

    @property
    def link(self) -> str:
        """Signs the page in."""
        return f"{self.url}/#key={self.key}"


@contextmanager
def running(folder: Path, role: str, settings: Mapping[str, str] | None = None) -> Iterator[RealService]:
    """Ready to answer; ended at exit."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("TEAL_") and not name.endswith("_URL")}
    url, metrics = f"http://127.0.0.1:{free_port()}", free_port()
    peers = (f"{url}/metrics", f"http://127.0.0.1:{metrics}/metrics")
    environment = {
        **inherited,
        "TEAL_STATE_DIR": str(folder),
        "TEAL_EMBEDDING": "none",
        "TEAL_LOG_DIR": str(folder / "logs"),
        "TEAL_METRICS_PEERS": ",".join(peers),
        **(settings or {}),
    }

    def python(*arguments: str) -> list[str]:
        return [sys.executable, "-m", *arguments]

    def admin(*arguments: str) -> dict[str, str]:
        done = subprocess.run(
            python("app.admin", *arguments), cwd=ROOT, env=environment, capture_output=True, text=True, check=True
        )
        found: dict[str, str] = json.loads(done.stdout.splitlines()[-1])
        return found

    admin("migrate")
    key = admin("keys", "create", "--role", role, "--name", "page")["key"]
    app, worker = (
        subprocess.Popen(python(*arguments), cwd=ROOT, env=environment)
        for arguments in (("app.main", "--port", url.rpartition(":")[2]), ("app.worker", "--metrics-port", str(metrics)))
    )
    try:
        _wait(url)
        yield RealService(url, key, peers, app, worker)
    finally:
        for part in (app, worker):
            part.kill()
            part.wait()


def _wait(url: str) -> None:
    deadline = time.monotonic() + START_SECONDS
    while True:
        try:
            urllib.request.urlopen(f"{url}/readyz", timeout=1).close()
        except urllib.error.URLError:
            assert time.monotonic() < deadline, f"the service was not ready within {START_SECONDS} s"
            time.sleep(0.2)
        else:
            return
