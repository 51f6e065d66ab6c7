"""The measures themselves: worked by hand, and queries that are the same on every machine."""

from __future__ import annotations

import math
from pathlib import Path

import pytest

from tests.quality.cacm import load, ndcg, recall
from tests.quality.known_item import make, paragraphs


def test_ndcg_is_what_the_hand_says() -> None:
    best = 1 + 1 / math.log2(3)
    assert ndcg(["a", "x", "b"], {"a", "b"}) == pytest.approx((1 + 0.5) / best)
    assert ndcg(["a", "b"], {"a", "b"}) == 1.0
    assert ndcg(["x"] * 10 + ["a"], {"a"}) == 0.0


def test_recall_counts_only_the_first_of_the_list() -> None:
    assert recall(["a", "x", "b"], {"a", "b", "c", "d"}) == 0.5
    assert recall(["x", "a"], {"a"}, depth=1) == 0.0


def test_judgements_without_zeros_are_repaired_and_unknown_ones_refused(tmp_path: Path) -> None:
    (tmp_path / "documents.jsonl").write_text('{"id": "CACM-0046", "title": "t", "text": "x"}\n')
    (tmp_path / "queries.jsonl").write_text('{"id": "1", "text": "q"}\n{"id": "2", "text": "unjudged"}\n')
    (tmp_path / "qrels.tsv").write_text("1\tCACM-46\t1\n")
    collection = load(tmp_path)
    assert (collection.judged, collection.repaired_judgements) == ({"1": {"CACM-0046"}}, 1)
    (tmp_path / "qrels.tsv").write_text("1\tCACM-47\t1\n")
    with pytest.raises(ValueError, match="CACM-47"):
        load(tmp_path)


def test_known_item_queries_are_the_same_every_time_and_come_from_their_passage(tmp_path: Path) -> None:
    names = [
        f"{first}{second}"
        for first in ("tide", "moon", "mast", "keel", "reef", "salt", "sail", "gull")
        for second in ("a", "b", "c", "d", "e", "f", "g", "h", "i", "j")
    ]
    for number in range(30):
        chosen = [name for place, name in enumerate(names) if number in (place % 30, (place + 10) % 30, (place + 20) % 30)]
        (tmp_path / f"{number:02}.txt").write_text("Short heading\n\n" + " ".join(chosen * 6) + f" unique{'q' * number}\n")
    items = list(paragraphs(tmp_path))
    assert len(items) == 30
    made = make(items, 10, seed=7)
    assert len(made) == 10
    assert made == make(items, 10, seed=7)
    assert made != make(items, 10, seed=8)
    texts = dict(items)
    assert all(texts[item.path] == item.passage and set(item.query.split()) <= set(item.passage.split()) for item in made)
