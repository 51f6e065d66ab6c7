"""`teal load` on a real stack with the mock for a language model: a clean run is 0, a breach is 1, and the page shows the shares."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from loadtests.measured import LoadTestResult
from teal.ports.target import GOLDEN
from tests.services.ports import free_port
from tests.services.releasing import ReleaseStack

pytestmark = [pytest.mark.integration, pytest.mark.long, pytest.mark.timeout(300)]
LENIENT = """generator: {late_p99_ms: 10000}  # the machine of a test is shared: what is judged here is the service
thresholds:
  - {requests: search, at_most_percent: 10, why: "a test sends few"}
  - {requests: "ask, end", at_most_percent: 20, why: "a test sends few"}
"""
IMPOSSIBLE = """generator: {late_p99_ms: 10000}  # the machine of a test is shared: what is judged here is the service
thresholds:
  - {requests: "ask, first token", at_most_percent: 10, later_than_ms: 50, why: "the model alone takes 100 ms to its first token"}
"""
# Kills the apps of a stack for as long as it runs: they are started again within seconds.
KILLER = """
import os, signal, sys, time
from pathlib import Path
from teal.laptop import reap
from teal.laptop.layout import Layout
while True:
    for one in reap.find_leftovers(Layout(Path(sys.argv[1]))):
        if "-app" in one.part:
            try:
                os.kill(one.pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
    time.sleep(0.2)
"""


@dataclass
class ModelStack(ReleaseStack):
    """Its answers are written by a model at `model_url`."""

    model_url: str = ""

    def env(self) -> dict[str, str]:
        model = {
            "TEAL_GENERATION": "openai",
            "TEAL_OPENAI_BASE_URL": f"{self.model_url}/v1",
            "TEAL_GENERATION_MODEL": "mock,first=100ms,tokens=13",
        }
        return super().env() | model


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ReleaseStack]:
    public, port = free_port(), free_port()
    model = subprocess.Popen([sys.executable, "-m", "loadtests.mock_model", "--port", str(port)])
    made = ModelStack(tmp_path_factory.mktemp("load") / ".teal", public, model_url=f"http://127.0.0.1:{port}")
    try:
        deadline = time.monotonic() + 20
        while not _answers(f"{made.model_url}/healthz"):
            assert time.monotonic() < deadline
            time.sleep(0.05)
        made.up()
        made.fill()
        yield made
    finally:
        made.down()
        model.terminate()
        model.wait(10)


def _answers(url: str) -> bool:
    try:
        return httpx.get(url, timeout=1).status_code == 200
    except httpx.TransportError:
        return False


def load(stack: ReleaseStack, folder: Path, thresholds: str) -> tuple[int, list[dict[str, Any]]]:
    """Some seconds of smoke, with questions that the few documents answer."""
    (folder / "thresholds.yaml").write_text(thresholds)
    options = (
        "--seconds",
        "8",
        "--thresholds",
        str(folder / "thresholds.yaml"),
        "--questions",
        str(GOLDEN),
        "--out",
        str(folder),
    )
    return stack.teal("load", "smoke", *options)


def test_a_clean_run_is_exit_0_over_https_with_shares_and_cpu_seen(stack: ReleaseStack, tmp_path: Path) -> None:
    code, rows = load(stack, tmp_path, LENIENT)
    assert code == 0, rows[-3:]
    assert rows[-1]["outcome"] == "kept"
    found = LoadTestResult.model_validate_json((tmp_path / "result.json").read_bytes())
    assert found.failures == []
    assert found.totals["document, findable"].requests >= 1
    assert found.seen[-1].weights == {"blue": 100, "green": 0}
    assert found.seen[-1].replicas == 2
    assert (found.seen[-1].cpu_seconds or 0) > (found.seen[0].cpu_seconds or 0) > 0
    assert "Shares of the load balancer" in (tmp_path / "index.html").read_text()


def test_a_breach_is_exit_1_and_says_what_was_not_kept(stack: ReleaseStack, tmp_path: Path) -> None:
    code, rows = load(stack, tmp_path, IMPOSSIBLE)
    assert code == 1
    assert rows[-1]["error"]["code"] == "load-breached"
    assert "ask, first token: at most 10 % later than 50 ms" in rows[-1]["error"]["what"]


def test_a_load_test_ends_when_users_outside_it_suffer(stack: ReleaseStack, tmp_path: Path) -> None:
    """Every app is killed again and again, so the load balancer has nobody to give a question to."""
    options = (
        "-u",
        "2",
        "-r",
        "2",
        "-t",
        "120s",
        "--questions",
        str(GOLDEN),
        "--out",
        str(tmp_path),
        "--stop-when",
        "errors > 10 %",
    )
    process = stack.start("load", "none", *options, "--json", "--", "HotKey")
    rows: list[dict[str, Any]] = []
    killer: subprocess.Popen[bytes] | None = None
    try:
        for line in process.stdout or ():
            rows.append(json.loads(line))
            if rows[-1].get("step") == "running" and killer is None:
                began = time.monotonic()
                killer = subprocess.Popen([sys.executable, "-c", KILLER, str(stack.home)])
        code = process.wait(60)
    finally:
        process.kill()
        if killer is not None:
            killer.terminate()
            killer.wait(10)
    assert code == 130, rows[-3:]
    assert rows[-1]["error"]["code"] == "load-interrupted"
    assert "users outside suffered: errors > 10 %" in rows[-1]["error"]["what"]
    assert time.monotonic() - began < 90  # and not the two minutes that it was given
    found = LoadTestResult.model_validate_json((tmp_path / "result.json").read_bytes())
    assert found.interrupted
    assert found.totals["search"].failed == sum(one.count for one in found.failures) > 0
    assert (tmp_path / "index.html").is_file()
