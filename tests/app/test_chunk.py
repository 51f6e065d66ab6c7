"""Promises of the chunker, checked on any text."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.rag.chunk import chunk, count_tokens

_WORDS = st.text(st.characters(codec="utf-8", exclude_categories=("Cs",)), max_size=12)
_GLUE = st.sampled_from([" ", ". ", "! ", "\n", "\n\n", "\n# ", "\n\n## ", "? ", "。", " e.g. ", "\t", "\r\n\r\n"])
_TEXTS = st.lists(st.tuples(_WORDS, _GLUE), max_size=120).map(lambda parts: "".join(word + glue for word, glue in parts))
_TARGETS = st.integers(min_value=1, max_value=60)


def _visible(text: str) -> str:
    return "".join(text.split())


@given(_TEXTS, _TARGETS)
@settings(max_examples=300, deadline=None)
def test_nothing_is_lost_and_nothing_added_without_overlap(text: str, target: int) -> None:
    assert _visible("".join(chunk(text, target_tokens=target, overlap_tokens=0))) == _visible(text)


@given(_TEXTS, _TARGETS, st.data())
@settings(max_examples=300, deadline=None)
def test_passages_are_never_longer_than_the_target(text: str, target: int, data: st.DataObject) -> None:
    overlap = data.draw(st.integers(min_value=0, max_value=target - 1))
    assert all(0 < count_tokens(passage) <= target for passage in chunk(text, target_tokens=target, overlap_tokens=overlap))


@given(
    st.lists(st.integers(min_value=1, max_value=30), min_size=1, max_size=40), st.integers(min_value=2, max_value=40), st.data()
)
@settings(max_examples=200, deadline=None)
def test_overlap_only_repeats_the_end_of_the_passage_before(lengths: list[int], target: int, data: st.DataObject) -> None:
    overlap = data.draw(st.integers(min_value=0, max_value=target - 1))
    words = [f"w{number}" for number in range(sum(lengths))]
    ends = {sum(lengths[: count + 1]) - 1 for count in range(len(lengths))}
    text = " ".join(word + "." * (number in ends) for number, word in enumerate(words))
    reached = 0
    for passage in chunk(text, target_tokens=target, overlap_tokens=overlap):
        numbers = [int(word.strip(".")[1:]) for word in passage.split() if word != "."]
        if not numbers:
            continue
        assert numbers == list(range(numbers[0], numbers[-1] + 1))
        assert reached - overlap <= numbers[0] <= reached
        reached = numbers[-1] + 1
    assert reached == len(words)


@given(_TEXTS)
@settings(max_examples=50, deadline=None)
def test_same_text_gives_same_passages(text: str) -> None:
    assert chunk(text, target_tokens=20, overlap_tokens=5) == chunk(text, target_tokens=20, overlap_tokens=5)


def test_sentences_are_not_cut() -> None:
    sentences = [f"This is sentence number {number} of the text." for number in range(30)]
    for passage in chunk(" ".join(sentences), target_tokens=40, overlap_tokens=10):
        assert passage.startswith("This is")
        assert passage.endswith("of the text.")


def test_end_of_a_passage_is_repeated_in_the_next() -> None:
    sentences = [f"This is sentence number {number} of the text." for number in range(10)]
    passages = chunk(" ".join(sentences), target_tokens=30, overlap_tokens=10)
    for earlier, later in pairwise(passages):
        assert later.startswith(earlier[-len("This is sentence number 1 of the text.") :])


def test_heading_starts_a_passage_and_stays_with_its_text() -> None:
    text = "# One\n" + "Words about one thing. " * 10 + "\n\n# Two\n" + "Words about another thing. " * 10
    passages = chunk(text, target_tokens=60, overlap_tokens=10)
    assert [passage.splitlines()[0] for passage in passages] == ["# One", "# Two"]


def test_abbreviations_do_not_end_sentences() -> None:
    text = "See Fig. 3 for the result. Tools, e.g. hammers, help. It is good."
    assert chunk(text, target_tokens=10, overlap_tokens=0)[0] == "See Fig. 3 for the result."


def test_one_endless_word_is_cut() -> None:
    passages = chunk("x" * 100_000, target_tokens=180, overlap_tokens=30)
    assert "".join(passages) == "x" * 100_000
    assert max(map(len, passages)) <= 180 * 16


def test_a_long_text_without_seams_takes_linear_time() -> None:
    passages = chunk("A. " * 100_000, target_tokens=180, overlap_tokens=30)
    assert _visible("".join(chunk("A. " * 1000, target_tokens=180, overlap_tokens=0))) == "A." * 1000
    assert len(passages) > 1_000


def test_nonsense_sizes_are_refused() -> None:
    with pytest.raises(ValueError, match="overlap_tokens"):
        chunk("text", target_tokens=10, overlap_tokens=10)
