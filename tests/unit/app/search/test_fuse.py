"""Fusion: scores stay in [0, 1], order is decided, and agreement wins."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.search.fuse import convex, min_max, ranks
from tests.quality.reciprocal_rank import reciprocal_rank

SCORES = st.dictionaries(st.text("abcdefgh", min_size=1, max_size=2), st.floats(-1, 60, allow_nan=False), max_size=20)


def test_min_max_spreads_over_the_lists_own_range_or_from_a_known_floor() -> None:
    assert min_max({"a": 10.0, "b": 6.0, "c": 2.0}) == {"a": 1.0, "b": 0.5, "c": 0.0}
    assert min_max({"a": 10.0, "b": 5.0}, floor=0.0) == {"a": 1.0, "b": 0.5}


def test_equal_scores_all_count_fully_and_no_scores_are_none() -> None:
    assert min_max({"a": 3.0, "b": 3.0}) == {"a": 1.0, "b": 1.0}
    assert min_max({"a": 0.0}, floor=0.0) == {"a": 1.0}
    assert min_max({}) == {}


def test_convex_weighs_both_lists_and_a_missing_passage_counts_zero() -> None:
    fused = convex({"a": 10.0, "b": 5.0}, {"b": 0.9, "c": 0.5}, weight=0.4)
    assert fused == pytest.approx({"a": 0.6, "b": 0.6 * 0.5 + 0.4, "c": 0.0})


def test_convex_at_its_ends_is_one_list() -> None:
    lexical, semantic = {"a": 9.0, "b": 3.0}, {"c": 0.9, "a": 0.1}
    assert list(ranks(convex(lexical, semantic, weight=0.0)))[:2] == ["a", "b"]
    assert next(iter(ranks(convex(lexical, semantic, weight=1.0)))) == "c"


def test_reciprocal_rank_prefers_what_both_lists_hold() -> None:
    fused = reciprocal_rank({"a": 9.0, "b": 8.0}, {"b": 0.9, "c": 0.8}, k=60)
    assert fused["b"] == pytest.approx((61 / 62 + 1) / 2)
    assert next(iter(ranks(fused))) == "b"
    assert reciprocal_rank({"a": 1.0}, {"a": 1.0}) == {"a": 1.0}


@given(SCORES, SCORES, st.floats(0, 1))
def test_every_passage_is_kept_and_every_score_is_in_the_unit_range(
    lexical: dict[str, float], semantic: dict[str, float], weight: float
) -> None:
    for fused in (convex(lexical, semantic, weight), reciprocal_rank(lexical, semantic)):
        assert fused.keys() == lexical.keys() | semantic.keys()
        assert all(0.0 <= score <= 1.0 + 1e-9 for score in fused.values())


@given(SCORES)
def test_ranks_count_from_one_and_do_not_depend_on_the_given_order(scores: dict[str, float]) -> None:
    placed = ranks(scores)
    assert sorted(placed.values()) == list(range(1, len(scores) + 1))
    assert placed == ranks(dict(reversed(scores.items())))
