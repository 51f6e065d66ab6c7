"""The stand-in does what its name says, in OpenAI's form, and no name is half understood."""

from __future__ import annotations

import json
import random
from collections import Counter

import anyio
import httpx
import pytest

from loadtests.stand_in_model import Behaviour, BrokenOff, behaviour, create_app, fate

ASKED = {"messages": [{"role": "user", "content": "?"}], "stream": True}


def test_a_name_is_the_behaviour() -> None:
    assert behaviour("stand-in") == Behaviour()
    assert behaviour("stand-in,first=900ms,rate=20,tokens=120,limited=5%,failed=1,broken=2.5") == Behaviour(
        900, 20, 120, 5, 1, 2.5
    )


@pytest.mark.parametrize(
    "name", ["gpt-4o", "", "stand-in,fast", "stand-in,rate=0", "stand-in,limited=60,failed=60", "stand-in,rate=-1", "stand-in,"]
)
def test_another_name_is_refused_whole(name: str) -> None:
    with pytest.raises(ValueError, match="no such model"):
        behaviour(name)


def test_calls_fail_as_often_as_the_name_says() -> None:
    chance = random.Random(1)
    drawn = Counter(fate(Behaviour(limited=10, failed=5, broken=20), chance) for _ in range(20_000))
    assert drawn["limited"] / 20_000 == pytest.approx(0.10, abs=0.01)
    assert drawn["failed"] / 20_000 == pytest.approx(0.05, abs=0.01)
    assert drawn["broken"] / 20_000 == pytest.approx(0.20, abs=0.01)


async def call(model: str) -> httpx.Response:
    async with httpx.AsyncClient(transport=httpx.ASGITransport(create_app()), base_url="http://model") as http:
        return await http.post("/v1/chat/completions", json=ASKED | {"model": model})


@pytest.mark.anyio
async def test_an_answer_streams_as_many_tokens_as_asked_for_and_says_that_it_is_a_stand_in() -> None:
    answer = await call("stand-in,first=0,rate=10000,tokens=13")
    lines = [line[6:] for line in answer.text.splitlines() if line.startswith("data: ")]
    words = [json.loads(line)["choices"][0]["delta"]["content"] for line in lines[:-1]]
    assert (len(words), lines[-1]) == (13, "[DONE]")
    assert "stand-in" in "".join(words)
    assert "[1]" in "".join(words)  # the service drops sentences without a citation


@pytest.mark.anyio
async def test_pace_is_kept() -> None:
    with anyio.fail_after(5):
        began = anyio.current_time()
        await call("stand-in,first=100ms,rate=100,tokens=10")
    assert anyio.current_time() - began >= 0.1 + 10 / 100


@pytest.mark.anyio
@pytest.mark.parametrize(("model", "status"), [("stand-in,limited=100", 429), ("stand-in,failed=100", 500), ("gpt-4o", 404)])
async def test_refusals_have_their_status(model: str, status: int) -> None:
    assert (await call(model)).status_code == status


@pytest.mark.anyio
async def test_a_broken_answer_ends_in_the_middle_of_its_connection() -> None:
    with pytest.raises(BrokenOff):
        await call("stand-in,first=0,rate=10000,broken=100")
