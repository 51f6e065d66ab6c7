"""Words as they come: a reader has each of them at once, and when the answer is done nothing is left that no source supports."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.answering.answer import Done, Event, PromptedWriter, Retract, Token, Words, answer
from app.answering.prompt import DONT_KNOW
from app.answering.question import read_question
from tests.unit.app.answering.test_answer import QUESTION, SOURCES, ScriptedModel

SENTENCES = (
    "Set CACHES to choose it [1]. ", "I like caches. ", "It uses SMTP [Source 2].\n\n", "Trust me [7].", "- the cache framework\n",
    "The default backend speaks SMTP. ", "\n\n", "<think>hm</think>", "```\ncache\n```\n", "😀 The CACHES setting【1】. ", DONT_KNOW,
)  # fmt: skip


class Reader:
    """What a reader sees who does as docs/api.md says: checked text, then the words that were not taken back."""

    def __init__(self) -> None:
        self.checked = ""
        self.words = ""
        self.settled = 0

    def see(self, event: Event) -> None:
        match event:
            case Words(text):
                self.words += text
            case Retract(start, end):
                assert start == self.settled < end <= len(self.words)
                self.settled = end
            case Token(text):
                self.checked += text
            case _:
                pass

    @property
    def shown(self) -> str:
        return self.checked + self.words[self.settled :]


def play(*pieces: str) -> Iterator[Event]:
    async def all_of_them() -> list[Event]:
        asked = read_question(QUESTION)
        return [event async for event in answer(asked, SOURCES, 0.8, PromptedWriter(ScriptedModel(*pieces), deadline_seconds=5))]

    return iter(asyncio.run(all_of_them()))


def test_each_word_is_shown_when_the_model_has_said_it() -> None:
    reader, shown = Reader(), list[str]()
    for event in play("Set ", "CACHES to choose ", "it [1]. ", "I like ", "caches."):
        reader.see(event)
        shown.append(reader.shown)
    assert shown[:3] == ["Set ", "Set CACHES to choose ", "Set CACHES to choose it [1]. "]
    assert "Set CACHES to choose it [1]. I like " in shown
    assert shown[-1] == "Set CACHES to choose it [1]."


def test_a_sentence_that_waits_for_the_citation_of_its_paragraph_stays_until_it_comes() -> None:
    reader = Reader()
    for event in play("The cache framework stores computed pages. ", "Set the CACHES setting to choose a cache backend.[1]"):
        reader.see(event)
        if isinstance(event, Words):
            assert reader.shown.startswith("The cache framework stores computed pages.")
    assert reader.shown == "The cache framework stores computed pages. Set the CACHES setting to choose a cache backend.[1]"


@given(said=st.lists(st.sampled_from(SENTENCES), max_size=8).map("".join), size=st.integers(1, 40))
def test_nothing_that_no_source_supports_is_left_however_the_model_s_stream_is_cut(said: str, size: int) -> None:
    reader, done = Reader(), None
    for event in play(*(said[place : place + size] for place in range(0, len(said), size))):
        reader.see(event)
        done = event
    assert isinstance(done, Done)
    assert reader.shown.strip() == done.answer.strip()


@pytest.mark.parametrize("said", ["", "Nothing of this is in a document."])
def test_words_without_any_source_give_way_to_the_admission(said: str) -> None:
    reader = Reader()
    for event in play(said):
        reader.see(event)
    assert reader.shown == DONT_KNOW
