"""The comparison with peers: only equal work is compared, and a missed aim is called missed."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from loadtests.peers import report
from loadtests.peers.contenders import TEAL, peers, teal
from loadtests.peers.environments import HERE, NAMES
from loadtests.peers.index import haystack_document, haystack_index, llamaindex_document
from loadtests.peers.measure import AGAIN, KNOWN, STREAMED
from loadtests.peers.ratios import Aim, OtherWork, Spread, demand_same_work, overlap, ratio, spread_of


def test_overlap_is_the_mean_share_of_the_expected_ids() -> None:
    assert overlap([["a", "b"], ["c", "d"]], [["b", "a"], ["c", "x"]]) == 0.75
    assert overlap([["a"], []], [["a"], []]) == 1.0
    assert overlap([[]], [["a"]]) == 0.0


@pytest.mark.parametrize(("expected", "found"), [([["a"]], []), ([], [])])
def test_overlap_of_other_queries_is_refused(expected: list[list[str]], found: list[list[str]]) -> None:
    with pytest.raises(ValueError, match="queries were expected"):
        overlap(expected, found)


def test_a_peer_that_finds_other_passages_is_refused_by_name() -> None:
    demand_same_work({"one": 0.95, "two": 1.0})
    with pytest.raises(OtherWork, match=r"'two': 0\.949"):
        demand_same_work({"one": 0.95, "two": 0.949})


def measured(ours: float, peer: float) -> dict[str, dict[str, dict[str, float]]]:
    names = {aim.peer for aim in report.AIMS}
    row = {"cpu_ms": peer, "first_ms": peer}
    return {
        scenario: {TEAL: {"cpu_ms": ours, "first_ms": ours}} | {name: dict(row) for name in names}
        for scenario in (KNOWN, AGAIN, STREAMED)
    }


def test_ratios_are_taken_within_each_repetition() -> None:
    repetitions = [measured(1, 10), measured(2, 40), measured(4, 20)]
    assert ratio(repetitions, KNOWN, "cpu_ms", "LangServe", TEAL) == Spread(5, 10, 20)
    assert spread_of([3.0, 1.0, 2.0]) == Spread(1, 2, 3)


def test_an_aim_is_judged_by_the_median() -> None:
    aim = Aim(KNOWN, "cpu_ms", "LangServe", 4.0)
    assert aim.verdict(Spread(1.0, 4.0, 9.0)) == "reached"
    assert aim.verdict(Spread(3.9, 3.99, 90.0)) == "missed"


def test_the_table_calls_a_missed_aim_missed() -> None:
    found = report.peers_summary([measured(1, 10)])
    text = report.peers_table(found, {"LangServe": 0.986})
    assert "missed  uncached search, vector known, cpu_ms: Haystack + Hayhooks / Teal 10.0" in text
    assert "reached uncached search, vector known, cpu_ms: LangServe / Teal 10.0" in text
    assert "shares 98.6% of ids" in text


def test_haystack_searches_stems_and_returns_none_of_them() -> None:
    passage = {"_id": "d:0", "document_id": "d", "ordinal": 0, "title": "T", "text": "words", "words": "word", "vector": [1.0]}
    stored = haystack_document(passage)
    assert stored == {"id": "d:0", "content": "words", "title": "T", "words": "word", "embedding": [1.0]}
    assert haystack_index(returns_vectors=True)["mappings"]["_source"] == {"excludes": ["words"]}
    assert haystack_index(returns_vectors=False)["mappings"]["_source"] == {"excludes": ["words", "embedding"]}


def test_llamaindex_gets_a_node_with_its_title_and_searches_stems() -> None:
    passage = {"_id": "d:0", "document_id": "d", "ordinal": 0, "title": "T", "text": "words", "words": "word", "vector": [1.0]}
    stored = llamaindex_document(passage)
    assert (stored["content"], stored["words"], stored["embedding"]) == ("words", "word", [1.0])
    node = json.loads(stored["metadata"]["_node_content"])
    assert (node["id_"], node["metadata"], node["class_name"]) == ("d:0", {"title": "T"}, stored["metadata"]["_node_type"])


def test_a_stream_that_is_read_by_a_second_request_is_the_one_that_the_first_began() -> None:
    (one,) = (one for one in peers() if one.environment == "llamaindex")
    assert one.events is not None
    assert one.events(b'{"handler_id": "abc", "status": "running"}').startswith(b"GET /events/abc?")


def test_everyone_is_asked_the_same_question_and_read_alike() -> None:
    for one in (teal("key"), *peers()):
        assert b"which words?" in one.search("which words?", 10)
        assert b"which words?" in one.ask("which words?")
    answers = {
        TEAL: {"hits": [{"document_id": "d", "ordinal": 3}]},
        "haystack": {"result": [{"id": "d:3"}]},
        "langserve": {"output": [{"id": "d:3"}]},
        "llamaindex": {"result": {"value": {"result": [{"id": "d:3"}]}}},
        "bare": {"hits": [{"id": "d:3"}]},
    }
    for one in (teal("key"), *peers()):
        assert one.ids(json.dumps(answers[one.environment or TEAL]).encode()) == ["d:3"]


@pytest.mark.parametrize("name", NAMES)
def test_a_peers_lock_pins_everything_by_hash_and_names_no_index(name: str) -> None:
    lock = (HERE / f"{name}.lock").read_text()
    pinned = re.findall(r"^([a-z0-9.-]+)(?:\[.*\])?==", lock, re.MULTILINE)
    assert len(pinned) == len(re.findall(r"^\S+==.*\\$\n {4}--hash=sha256:[0-9a-f]{64}", lock, re.MULTILINE)) > 20
    assert "://" not in lock
    wanted = re.findall(r"^[a-z0-9-]+", (HERE / f"{name}.in").read_text(), re.MULTILINE)
    assert set(wanted) <= set(pinned)


def test_the_servers_know_nothing_of_teal() -> None:
    for file in (HERE / "servers").rglob("*.py"):
        assert not re.search(r"^\s*(from|import) (app|teal|loadtests)\b", Path(file).read_text(), re.MULTILINE), file
