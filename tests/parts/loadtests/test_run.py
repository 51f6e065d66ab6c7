"""Real Locust against a service that misbehaves on request: each kind of misbehaviour is counted under its name and decides the exit code."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from loadtests.__main__ import main
from loadtests.measured import Count, LoadTestResult, MeasuredWindow
from loadtests.shapes import ShapeStage
from tests.services.ports import free_port

pytestmark = [pytest.mark.integration, pytest.mark.long, pytest.mark.timeout(120)]
SECONDS = 5
LENIENT = """thresholds:
  - {requests: search, at_most_percent: 20, why: "a test sends few"}
  - {requests: "ask, end", at_most_percent: 50, why: "a test sends few"}
generator: {late_p99_ms: 10000}  # tests share their machine, and this is not about the generator
"""


@contextmanager
def service(*options: str) -> Iterator[str]:
    port = free_port()
    process = subprocess.Popen([sys.executable, "-m", "tests.parts.loadtests.service", "--port", str(port), *options])
    try:
        while socket.socket().connect_ex(("127.0.0.1", port)):
            assert process.poll() is None
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait(10)


def load(folder: Path, url: str, shape: str, *options: str) -> tuple[int, list[dict[str, Any]]]:
    """Exit code and JSON lines of one short run."""
    (folder / "thresholds.yaml").write_text(LENIENT)
    (folder / "questions.jsonl").write_text('{"question": "How can I send an email?", "source": "topics/email.txt"}')
    command = [sys.executable, "-m", "loadtests", "run", shape, "--host", url, "--seconds", str(SECONDS), "--scale", "0.5",
               "--thresholds", str(folder / "thresholds.yaml"), "--questions", str(folder / "questions.jsonl"), "--out", str(folder), *options]  # fmt: skip
    done = subprocess.run(
        command, capture_output=True, text=True, env=os.environ | {"LOCUST_LOAD_KEYS": "key"}, timeout=90, check=False
    )
    assert done.stderr == ""
    return done.returncode, [json.loads(line) for line in done.stdout.splitlines()]


def result(folder: Path) -> LoadTestResult:
    return LoadTestResult.model_validate_json((folder / "result.json").read_bytes())


def test_a_good_service_is_kept_with_a_page_and_every_story_is_told(tmp_path: Path) -> None:
    with service() as url:
        code, rows = load(tmp_path, url, "smoke")
    assert (code, rows[-1]["outcome"]) == (0, "kept"), rows[-5:]
    found = result(tmp_path)
    assert found.failures == []
    assert found.about["questions"] == "1 questions, 1 with hits, 1 with their source among the first 10"
    assert {"search", "ask, first event", "ask, first token", "ask, end", "document, sent", "health"} <= found.totals.keys()
    assert "<svg" in (tmp_path / "index.html").read_text()
    assert any(row["step"] == "running" and row["questions_per_second"] > 0 for row in rows)


def test_arrivals_are_as_many_as_were_due_through_two_workers_however_slow_the_answers_are(tmp_path: Path) -> None:
    with service("--slow-seconds", "2") as url:
        code, _ = load(tmp_path, url, "release", "--workers", "2")
    found = result(tmp_path).totals
    assert code == 0
    # 10 a second. Sources begin within the first second and are looked at once a second at their end.
    assert found["search"].requests + found["ask, first event"].requests == pytest.approx(10 * SECONDS, abs=11)
    assert found["search"].percentile_ms(0.01) == pytest.approx(2000, abs=100)


def test_two_runs_with_workers_at_the_same_time_do_not_meet(tmp_path: Path) -> None:
    folders = [tmp_path / name for name in ("one", "two")]
    for folder in folders:
        folder.mkdir()
    with service() as url, ThreadPoolExecutor() as pool:
        codes = [code for code, _ in pool.map(lambda folder: load(folder, url, "release", "--workers", "1"), folders)]
    assert codes == [0, 0]
    assert [result(folder).about["workers"] for folder in folders] == [1, 1]


@pytest.mark.parametrize("workers", [(), ("--workers", "2")], ids=["one process", "workers"])
def test_a_breach_is_exit_1_and_each_reason_is_counted_where_it_belongs(tmp_path: Path, workers: tuple[str, ...]) -> None:
    # 70 % are refused, but none of the first 20, and 20 users ask some 30 times in 5 s: too seldom for each reason to be seen.
    with service("--refuse", "0.7", "--break-streams", "0.9") as url:
        code, rows = load(tmp_path, url, "smoke", *workers, "--seconds", "15")
    assert (code, rows[-1]["outcome"]) == (1, "breached")
    reasons = {(one.requests, one.reason) for one in result(tmp_path).failures}
    assert reasons >= {("search", "429 rate-limited"), ("ask, first event", "429 rate-limited"),
                       ("ask, end", "broken: the stream ended without `done`")}  # fmt: skip
    assert any(row["step"] == "threshold" and row["outcome"] == "breached" and row["says"].startswith("search") for row in rows)


def told(capsys: pytest.CaptureFixture[str]) -> list[dict[str, Any]]:
    return [json.loads(line) for line in capsys.readouterr().out.splitlines()]


def test_a_service_that_holds_nothing_is_not_measured(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("LOCUST_LOAD_KEYS", "key")
    with service("--empty") as url:
        assert main(["run", "smoke", "--host", url, "--out", str(tmp_path)]) == 2
    assert "0 of" in told(capsys)[-1]["error"]["what"]
    assert main(["run", "smoke", "--host", f"http://127.0.0.1:{free_port()}", "--out", str(tmp_path)]) == 2
    assert "does not answer" in told(capsys)[-1]["error"]["what"]
    assert not (tmp_path / "measured.json").exists()


@pytest.mark.parametrize(("failed", "percent", "code"), [(0, 5, 0), (10, 5, 1), (0, 1, 4), (9, 1, 1)])
def test_the_same_measurements_are_judged_again_by_other_thresholds(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], failed: int, percent: int, code: int
) -> None:
    """Too few samples (100 of 299) are exit 4: no pass."""
    counts = {"search": Count(requests=100, failed=failed, ms={12: 100})}
    window = MeasuredWindow(from_seconds=0, to_seconds=10, stage=0, users=5, counts=counts)
    measured = LoadTestResult(
        shape="smoke", kind="users", plan=(ShapeStage(10, 5),), host="h", began=0.0, seconds=10.0, windows=[window]
    )
    (tmp_path / "measured.json").write_text(measured.model_dump_json())
    (tmp_path / "thresholds.yaml").write_text(f"thresholds: [{{requests: search, at_most_percent: {percent}, why: test}}]")
    assert main(["report", "--out", str(tmp_path), "--thresholds", str(tmp_path / "thresholds.yaml")]) == code
    assert told(capsys)[-1]["summary"]["search"]["p95_ms"] == 12
