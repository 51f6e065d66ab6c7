"""Which sentences of a source can stand alone in an answer."""

from __future__ import annotations

import pytest

from app.rag.extract import extract, standing_alone
from app.rag.prompt import Source


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            "Use a slice instead of an index here. It is faster that way.",
            ["Use a slice instead of an index here.", "It is faster that way."],
        ),
        (
            "To get one object (e.g. SELECT foo LIMIT 1), use an index.",
            ["To get one object (e.g. SELECT foo LIMIT 1), use an index."],
        ),
        ("SELECT foo FROM bar LIMIT 1), use an index instead of a slice.", []),
        (
            "Making queries\n\nOnce you have models you can query them freely.",
            ["Once you have models you can query them freely."],
        ),
        ("* Alternatively, you can pass three arguments to it.", ["Alternatively, you can pass three arguments to it."]),
        ("The default value of this setting is:", []),
        ("Too short.", []),
    ],
)
def test_only_whole_sentences_stand_alone(text: str, expected: list[str]) -> None:
    assert [sentence.text for sentence in standing_alone(Source(1, "t", text))] == expected


def test_the_same_sentence_from_two_sources_is_said_once() -> None:
    text = "The cache backend is chosen by the CACHES setting."
    found = [sentence for n in (1, 2) for sentence in standing_alone(Source(n, "t", text))]
    assert [sentence.n for sentence in extract("Which setting chooses the cache backend?", found, None)] == [1]


def test_a_sentence_about_something_else_is_left_out() -> None:
    text = "The cache backend is chosen by the CACHES setting. Potatoes grow well in loose and sandy soil."
    [only] = extract("Which setting chooses the cache backend?", standing_alone(Source(1, "t", text)), None)
    assert "CACHES" in only.text
