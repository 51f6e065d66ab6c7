"""The mock model does what its name says, in OpenAI's form, and no name is half understood."""

from __future__ import annotations

import random
from collections import Counter

import httpx
import pytest

from loadtests.mock_model import MockBehaviour, behaviour, create_app, outcome_of_call

ASKED = {"messages": [{"role": "user", "content": "?"}], "stream": True}


def test_a_name_is_the_behaviour() -> None:
    assert behaviour("mock") == MockBehaviour()
    assert behaviour("mock,first=900ms,rate=20,tokens=120,limited=5%,failed=1,broken=2.5") == MockBehaviour(
        900, 20, 120, 5, 1, 2.5
    )


@pytest.mark.parametrize("name", ["gpt-4o", "", "mock,fast", "mock,rate=0", "mock,limited=60,failed=60", "mock,rate=-1", "mock,"])
def test_another_name_is_refused_whole(name: str) -> None:
    with pytest.raises(ValueError, match="no such model"):
        behaviour(name)


def test_calls_fail_as_often_as_the_name_says() -> None:
    chance = random.Random(1)
    drawn = Counter(outcome_of_call(MockBehaviour(limited=10, failed=5, broken=20), chance) for _ in range(20_000))
    assert drawn["limited"] / 20_000 == pytest.approx(0.10, abs=0.01)
    assert drawn["failed"] / 20_000 == pytest.approx(0.05, abs=0.01)
    assert drawn["broken"] / 20_000 == pytest.approx(0.20, abs=0.01)


async def call(model: str) -> httpx.Response:
    async with httpx.AsyncClient(transport=httpx.ASGITransport(create_app()), base_url="http://model") as http:
        return await http.post("/v1/chat/completions", json=ASKED | {"model": model})


@pytest.mark.anyio
@pytest.mark.parametrize(("model", "status"), [("mock,limited=100", 429), ("mock,failed=100", 500), ("gpt-4o", 404)])
async def test_refusals_have_their_status(model: str, status: int) -> None:
    assert (await call(model)).status_code == status
