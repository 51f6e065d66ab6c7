"""Promises of the chunker, checked on any text."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.text.chunk import chunk as chunks_of
from app.text.chunk import count_tokens
from app.text.document import Chunk

_WORDS = st.text(st.characters(codec="utf-8", exclude_categories=("Cs",)), max_size=12)
_GLUE = st.sampled_from([" ", ". ", "! ", "\n", "\n\n", "\n# ", "\n\n## ", "? ", "。", " e.g. ", "\t", "\r\n\r\n"])
_TEXTS = st.lists(st.tuples(_WORDS, _GLUE), max_size=120).map(lambda parts: "".join(word + glue for word, glue in parts))
_TARGETS = st.integers(min_value=1, max_value=60)


def chunk(text: str, *, target_tokens: int, overlap_tokens: int) -> list[str]:
    """The passages' own texts, without the headings above them."""
    return [one.text for one in chunks_of(text, target_tokens=target_tokens, overlap_tokens=overlap_tokens)]


def whole(text: str, target_tokens: int = 60, overlap_tokens: int = 10) -> list[Chunk]:
    return chunks_of(text, target_tokens=target_tokens, overlap_tokens=overlap_tokens)


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
    assert all(count_tokens(one.text) > 0 and count_tokens(one.whole) <= target for one in whole(text, target, overlap))


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


TABLE = "# Prices\n\n| Part | Price |\n|---|---|\n" + "".join(f"| HP-{number:03} | {number} |\n" for number in range(60))


def test_a_table_is_cut_between_rows_and_repeats_its_head() -> None:
    passages = whole(TABLE)
    assert len(passages) > 3
    assert all("| Part | Price |\n|---|---|" in one.whole for one in passages)
    rows = [line for one in passages for line in one.text.split("\n") if line.startswith("| HP")]
    assert all(row.count("|") == 3 and row.endswith("|") for row in rows)


def test_each_passage_has_the_headings_above_it() -> None:
    text = "# Machine Cedar\n\n" + "It is checked with care. " * 30 + "\n\n## Warranty\n\n" + "It lasts 48 months. " * 20
    passages = whole(text)
    assert all("# Machine Cedar" in one.whole for one in passages)
    assert all("## Warranty" in one.whole for one in passages if "48 months" in one.text)


def test_a_heading_that_is_left_goes_with_nothing_after_it() -> None:
    text = "# One\n\n## Warranty\n\nIt lasts 24 months.\n\n# Two\n\nOther words about it. "
    assert ["24 months" in one.whole for one in whole(text) if "# Two" in one.whole] == [False]


def test_code_stays_whole_with_its_indentation() -> None:
    code = "```python\ndef f():\n\n    # not a heading\n    return 1\n```"
    passages = whole("Some words. " * 18 + "\n\n" + code + "\n\nMore words.", 40, 0)
    assert any(code in one.text for one in passages)
    assert not any(one.context for one in passages)


def test_long_code_is_cut_between_lines_and_keeps_its_indentation() -> None:
    lines = [f"    step_{number}(host)" for number in range(80)]
    passages = whole("```sh\n" + "\n".join(lines) + "\n```")
    found = [line for one in passages for line in one.text.split("\n") if "step_" in line]
    assert set(found) == set(lines)
    assert all(one.context == "```sh" for one in passages[1:])


def test_lines_of_keys_and_values_are_pieces_of_their_own() -> None:
    text = "\n".join(f"Key {number}: the value {number}" for number in range(30))
    assert all(line.startswith("Key ") for one in whole(text, 20, 0) for line in one.text.split("\n"))


def test_a_passage_tells_its_page() -> None:
    text = "One sentence is here. " * 5 + "\n" + "Another sentence is there. " * 5
    found = chunks_of(text, target_tokens=25, overlap_tokens=0, pages=(0, text.index("Another")))
    assert [one.page for one in found] == sorted(one.page or 0 for one in found)
    assert {one.page for one in found} == {1, 2}
