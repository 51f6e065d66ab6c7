"""What the report says agrees with a server that counts and breaks on purpose, to the last request, over twenty seeds."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

import pytest

from tests.parts.loadtests.serving import serving

pytestmark = [pytest.mark.integration, pytest.mark.long, pytest.mark.timeout(300)]
SEEDS, PER_SECOND, SECONDS = 20, 60, 0.6


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    questions = tmp_path_factory.mktemp("counts") / "questions.jsonl"
    questions.write_text('{"question": "How can I send an email?"}')
    with serving(module="breaking_service") as url:
        command = [
            sys.executable,
            "-m",
            "tests.parts.loadtests.count_seeds",
            url,
            str(SEEDS),
            str(PER_SECOND),
            str(SECONDS),
            str(questions),
        ]
        done = subprocess.run(command, capture_output=True, text=True, timeout=280, check=True)
    found = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
    assert len(found) == SEEDS
    served = sum(sum(run["server"].values()) for run in found)
    print(f"{SEEDS} seeds, {served} requests served")  # with pytest -s: the figure of docs/load.md
    return found


def count(run: dict[str, Any], path: str, *fates: str) -> int:
    return sum(
        number
        for name, number in run["server"].items()
        if name.startswith(path) and (not fates or name[len(path) + 1 :] in fates)
    )


def failed(run: dict[str, Any], *starts: str) -> int:
    return sum(number for reason, number in run["failures"].items() if reason.startswith(starts))


def test_every_search_is_counted_under_what_became_of_it(runs: list[dict[str, Any]]) -> None:
    for run in runs:
        path = "/v1/search"
        assert failed(run, "search: 500 made-500") == count(run, path, "500"), run
        assert failed(run, "search: 429 made-429") == count(run, path, "429"), run
        assert failed(run, "search: broken:") == count(run, path, "cut"), run
        assert failed(run, "search: no answer: TimeoutError", "search: no answer: timeout") == count(run, path, "stalled"), run
        assert failed(run, "search: no answer: Connection", "search: no answer: HTTPConnectionClosed") == count(
            run, path, "reset"
        ), run
        assert run["totals"]["search"] == [count(run, path), count(run, path, "500", "429", "cut", "stalled", "reset")], run
        assert run["slow_searches"] >= count(run, path, "slow", "stalled"), run


def test_every_stream_is_counted_under_what_became_of_it(runs: list[dict[str, Any]]) -> None:
    for run in runs:
        path, refused = "/v1/ask", ("500", "429")
        broken = ("cut", "stalled", "reset", "no done", "error event")
        begun = count(run, path) - count(run, path, *refused)
        assert run["totals"]["ask, first event"] == [count(run, path), count(run, path, *refused)], run
        assert run["totals"]["ask, first token"] == [begun, 0], run
        assert run["totals"]["ask, end"] == [begun, count(run, path, *broken)], run
        assert failed(run, "ask, end: broken: error event: made-error") == count(run, path, "error event"), run
        assert failed(run, "ask, end: broken: the stream ended without") == count(run, path, "no done"), run
        assert failed(run, "ask, end: broken: HTTP") == count(run, path, "cut"), run
        assert failed(run, "ask, end: broken: ConnectionResetError") == count(run, path, "reset"), run


def test_sent_answered_and_unanswered_agree_with_the_server_and_nothing_was_let_through(runs: list[dict[str, Any]]) -> None:
    for run in runs:
        silent = count(run, "/v1/search", "stalled", "reset")
        whole = count(run, "/v1/search")
        assert run["sent"]["search"] == [whole, whole - silent, silent], run
        assert run["sent"]["ask, first event"] == [count(run, "/v1/ask")] * 2 + [0], run
        assert run["exceptions"] == []


def test_the_seeds_broke_everything_at_least_once(runs: list[dict[str, Any]]) -> None:
    fates = {name for run in runs for name in run["server"]}
    assert len(fates) == 7 + 9
