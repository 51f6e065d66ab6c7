"""The mock model does what its name says, in OpenAI's form, and no name is half understood."""

from __future__ import annotations

import json

import anyio
import pytest

from loadtests.mock_model import BrokenOff
from tests.unit.loadtests.test_mock_model import call


@pytest.mark.anyio
async def test_an_answer_streams_as_many_tokens_as_asked_for_and_says_that_it_is_a_mock() -> None:
    answer = await call("mock,first=0,rate=10000,tokens=13")
    lines = [line[6:] for line in answer.text.splitlines() if line.startswith("data: ")]
    words = [json.loads(line)["choices"][0]["delta"]["content"] for line in lines[:-1]]
    assert (len(words), lines[-1]) == (13, "[DONE]")
    assert "mock" in "".join(words)
    assert "[1]" in "".join(words)  # the service drops sentences without a citation


@pytest.mark.anyio
async def test_pace_is_kept() -> None:
    with anyio.fail_after(5):
        began = anyio.current_time()
        await call("mock,first=100ms,rate=100,tokens=10")
    assert anyio.current_time() - began >= 0.1 + 10 / 100


@pytest.mark.anyio
async def test_a_broken_answer_ends_in_the_middle_of_its_connection() -> None:
    with pytest.raises(BrokenOff):
        await call("mock,first=0,rate=10000,broken=100")
