"""A question in a talk is made whole, with a language model or without."""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator

import pytest

from app.answering.follow_up import MOST_TURN_CHARACTERS, MOST_TURNS, ConversationTurn, with_model, with_terms
from app.errors import ModelUnavailable

pytestmark = pytest.mark.anyio

TALK = (
    ConversationTurn("user", "Who keeps the light of Skerry?"),
    ConversationTurn("assistant", "The light of Skerry is kept by Tom Arnold. [1]"),
)


def test_a_pronoun_stands_for_a_name_of_the_talk() -> None:
    whole = with_terms("And what is his cat called?", TALK)
    assert [term.text for term in whole.asked] == ["cat"]
    assert {term.text for term in whole.any_of} == {"Skerry", "Tom", "Arnold"}
    assert "Tom" in whole.search
    assert "Skerry" in whole.text


def test_the_same_is_asked_of_another() -> None:
    whole = with_terms("And for Cedar?", [ConversationTurn("user", "How long is the warranty of machine Alder?")])
    assert {term.text for term in whole.asked} == {"Cedar", "warranty", "machine"}
    assert whole.any_of == ()


def test_a_question_that_stands_alone_is_left_alone() -> None:
    whole = with_terms("How long is the warranty of the drill?", TALK)
    assert (whole.search, whole.any_of) == ("How long is the warranty of the drill?", ())


def test_not_knowing_names_nobody() -> None:
    talk = (TALK[0], ConversationTurn("assistant", "I don't know: the documents I can see do not answer this."))
    assert {term.text for term in with_terms("What is his cat called?", talk).any_of} == {"Skerry"}


class Model:
    label = "Scripted for a test."

    def __init__(self, says: str | None) -> None:
        self._says = says
        self.asked = ""

    async def stream(self, system: str, user: str) -> AsyncGenerator[str, None]:
        self.asked = user
        if self._says is None:
            raise ModelUnavailable("away")
        yield self._says

    async def close(self) -> None: ...


async def test_the_model_writes_the_whole_question() -> None:
    model = Model("<think>his: Tom</think>What is Tom Arnold's cat called?")
    whole = await with_model(model, "And what is his cat called?", TALK, deadline_seconds=30)
    assert whole.search == whole.text == "What is Tom Arnold's cat called?"
    assert "kept by Tom Arnold" in model.asked


@pytest.mark.parametrize("says", [None, "", "x" * 2000])
async def test_without_a_usable_word_of_the_model_the_terms_do(says: str | None) -> None:
    assert "Tom" in (await with_model(Model(says), "And what is his cat called?", TALK, deadline_seconds=30)).search


async def test_a_model_that_only_thinks_is_left_in_time() -> None:
    class Thinks(Model):
        async def stream(self, system: str, user: str) -> AsyncGenerator[str, None]:
            yield "<think>"
            while True:
                yield "and then again " * 100

    assert "Tom" in (await with_model(Thinks(""), "And what is his cat called?", TALK, deadline_seconds=30)).search


def test_what_a_client_says_was_said_before_takes_no_time() -> None:
    talk = [
        TALK[0],
        *(ConversationTurn("assistant", "[source" + " " * (MOST_TURN_CHARACTERS - 8) + "x") for _ in range(MOST_TURNS - 1)),
    ]
    began = time.process_time()
    with_terms("And what is his cat called?", talk)
    assert time.process_time() - began < 1  # a mark with gaps of any length took a second for each turn
