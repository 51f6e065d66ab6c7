"""What may reach the reader: whole sentences that cite a source that exists."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.answering.cite import Sentences, canonical, cited


@pytest.mark.parametrize(
    ("pieces", "expected"),
    [
        (["One fact [1]. Two facts [2]."], ["One fact [1].", " Two facts [2]."]),
        (["One fact. [1] Two", " facts. [2][3] "], ["One fact. [1]", " Two facts. [2][3] "]),
        (["A fact.", " ", "[", "1", "]", " More"], ["A fact. [1]", " More"]),
        (["Version 5.2 is out [1]. See e.g. the notes [1]."], ["Version 5.2 is out [1].", " See e.g. the notes [1]."]),
        (["- a point [1]\n- another [2]\n"], ["- a point [1]\n", "- another [2]\n"]),
    ],
)
def test_citation_stays_with_its_sentence(pieces: list[str], expected: list[str]) -> None:
    cutter = Sentences()
    cut = [sentence for piece in pieces for sentence in cutter.feed(piece)]
    cut += cutter.last("")
    assert cut == expected
    assert "".join(cut) == "".join(pieces)


@given(st.lists(st.text(alphabet="ab .[]12!\n", max_size=6), max_size=30))
def test_no_character_is_lost_however_the_stream_is_cut(pieces: list[str]) -> None:
    cutter = Sentences()
    out = "".join([*(sentence for piece in pieces for sentence in cutter.feed(piece)), *cutter.last("")])
    assert out.replace(" ", "").replace("\n", "") == "".join(pieces).replace(" ", "").replace("\n", "")


@pytest.mark.parametrize("size", [1, 3, 50, 10_000])
def test_a_sentence_after_a_long_block_of_code_is_a_sentence_of_its_own(size: int) -> None:
    """However the stream is cut, and though a long block is not looked at with each piece: nothing uncited rides along."""
    expected = ["Do this [1].\n", "```\n" + "run it. now!\n" * 200 + "```\n", "Nobody says this.", " This is said [2]."]
    stream = "".join(expected)
    cutter = Sentences()
    pieces = [stream[place : place + size] for place in range(0, len(stream), size)]
    cut = [sentence for piece in pieces for sentence in cutter.feed(piece)] + cutter.last("")
    assert "".join(cut) == stream
    assert [sentence.strip() for sentence in cut] == [sentence.strip() for sentence in expected]


def test_a_sentence_is_passed_on_with_the_piece_that_ends_it() -> None:
    cutter = Sentences()
    assert cutter.feed("word " * 70 + "end [1].") == []
    assert cutter.feed(" Next") == ["word " * 70 + "end [1]."]


def test_citations_of_sources_that_do_not_exist_are_taken_out() -> None:
    assert cited("True [2][9][2][0].", sources=3) == [2]
    assert canonical("True [2][9].", sources=3) == "True [2]."
