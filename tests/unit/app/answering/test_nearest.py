"""What is told beside "I don't know"."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from app.answering.nearest import NearestSentence, nearest
from app.answering.prompt import PromptSource
from app.answering.question import read_question
from app.answering.relevance import MOST_PASSAGES
from app.errors import ModelUnavailable
from app.models.port import Vector

STOLEN = read_question("My notebook was stolen. Whom must I tell?")
HANDBOOK = (
    "Equipment is handed out on the first day. Report lost devices to the service desk within two hours. Your desk is yours."
)


class Devices:
    """A model of meaning to which a question is near what speaks of devices."""

    def __init__(self, *, fails: bool = False) -> None:
        self._fails = fails

    def reads(self, text: str) -> bool:
        return text.isascii()

    async def vectors(self, texts: Sequence[str]) -> list[Vector]:
        if self._fails:
            raise ModelUnavailable("no answer")
        return [np.array([1.0, 0.0] if "devices" in text or "stolen" in text else [0.0, 1.0], dtype=np.float32) for text in texts]


def source(n: int, text: str) -> PromptSource:
    return PromptSource(n, "Handbook", text, f"d{n}", "", "", "", "")


@pytest.mark.anyio
async def test_the_sentence_nearest_in_meaning_is_told_of_each_passage() -> None:
    told = await nearest(STOLEN, [source(1, HANDBOOK), source(2, "Lunch is at noon. Lost devices cost 90 euros.")], Devices())
    assert told == [
        NearestSentence(1, "Report lost devices to the service desk within two hours."),
        NearestSentence(2, "Lost devices cost 90 euros."),
    ]


@pytest.mark.anyio
@pytest.mark.parametrize("meaning", [None, Devices(fails=True)])
async def test_words_decide_where_no_model_can(meaning: Devices | None) -> None:
    asked = read_question("At which desk are lost devices reported?")
    assert await nearest(asked, [source(1, HANDBOOK)], meaning) == [
        NearestSentence(1, "Report lost devices to the service desk within two hours.")
    ]


@pytest.mark.anyio
async def test_no_more_passages_are_told_than_can_be_read_at_a_glance() -> None:
    assert len(await nearest(STOLEN, [source(n, HANDBOOK) for n in range(1, 7)], None)) == MOST_PASSAGES
