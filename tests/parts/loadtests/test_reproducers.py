"""Each reproducer runs alone and does to the service what its name says: the service itself is asked what it saw."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

import pytest

from tests.parts.loadtests.serving import serving

pytestmark = [pytest.mark.integration, pytest.mark.long, pytest.mark.timeout(180)]
SECONDS = 4
TOKENS = 12  # of an answer
# Two seconds long: who leaves after the tenth at the latest has left in the middle, however late a busy machine notices it.
MANY_TOKENS = 200
REPRODUCERS = ("disconnects", "long-conversation", "upload-storm", "hot-key", "cache-busting", "slow-readers")


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    questions = tmp_path_factory.mktemp("alone") / "questions.jsonl"
    questions.write_text("".join(json.dumps({"question": f"How can I send an email to {who}?"}) + "\n" for who in ("you", "me")))
    with serving("--tokens", str(TOKENS)) as usual, serving("--tokens", str(MANY_TOKENS)) as long:
        places = [f"{name}={long if name == 'disconnects' else usual}" for name in REPRODUCERS]
        command = [sys.executable, "-m", "tests.parts.loadtests.each_alone", str(SECONDS), str(questions), *places]
        done = subprocess.run(command, capture_output=True, text=True, timeout=150, check=True)
    rows = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
    assert [row["shape"] for row in rows] == list(REPRODUCERS)
    for row in rows:
        assert row["exceptions"] == 0, row
        assert len(row["users"]) == 1, row
        assert sum(failed for _, failed in row["totals"].values()) == 0, row
    return {row["shape"]: row for row in rows}


def test_readers_leave_in_the_middle_of_every_stream(runs: dict[str, Any]) -> None:
    row = runs["disconnects"]
    assert set(row["totals"]) == {"ask, first event", "ask, first token", "ask, between tokens", "ask, left"}
    assert row["totals"]["ask, left"][0] == row["totals"]["ask, first event"][0] == len(row["seen"]["asked"]) > 5
    assert row["seen"]["streams"].get("left", 0) > row["seen"]["streams"].get("whole", 0)


def test_a_conversation_grows_with_each_turn(runs: dict[str, Any]) -> None:
    asked = runs["long-conversation"]["seen"]["asked"]
    assert max(asked) >= 3 * min(asked)
    assert not runs["long-conversation"]["seen"]["sent"]


def test_large_documents_are_sent_one_after_the_other_and_taken_away(runs: dict[str, Any]) -> None:
    row = runs["upload-storm"]
    assert min(row["seen"]["sent"]) > 190_000
    assert len(row["seen"]["sent"]) == row["totals"]["document, sent"][0] == row["totals"]["document, removed"][0] >= 3


def test_everybody_asks_the_same_with_one_key(runs: dict[str, Any]) -> None:
    seen = runs["hot-key"]["seen"]
    assert seen["searched"] == runs["hot-key"]["totals"]["search"][0] > 10
    assert (seen["different"], seen["keys"]) == (1, 1)


def test_no_question_is_asked_twice(runs: dict[str, Any]) -> None:
    seen = runs["cache-busting"]["seen"]
    assert seen["different"] == seen["searched"] == runs["cache-busting"]["totals"]["search"][0] > 10


def test_readers_take_each_event_slowly(runs: dict[str, Any]) -> None:
    """Half a second for each event: hardly more answers than users in these seconds, and none is broken by it."""
    row = runs["slow-readers"]
    assert 3 <= row["totals"]["ask, first event"][0] <= 6
    assert row["totals"]["ask, end"][0] == row["totals"]["ask, first event"][0]
