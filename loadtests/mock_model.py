"""A mock of a language model: `python -m loadtests.mock_model [--host 127.0.0.1] [--port 8090]`. It understands nothing and says so in each answer.

OpenAI's chat completions, streamed. How it behaves is in the model's name, so that one server plays many models and every answer is labelled:

    mock                              200 ms to the first token, then 50 tokens a second, 60 tokens
    mock,first=900ms,rate=20,tokens=120
    mock,limited=5,failed=1,broken=2  percent of the calls: 429, 500, cut off in the middle
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import re
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any, Final

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

NAME: Final = "mock"
SEED: Final = 11  # the calls that fail differ between models, but not between runs
_PART: Final = re.compile(r"(first|rate|tokens|limited|failed|broken)=(\d+(?:\.\d+)?)(ms|%)?")
_SENTENCE: Final = "This sentence is a mock model's and says nothing about the question [1]. "


@dataclass(frozen=True, slots=True)
class MockBehaviour:
    """Milliseconds to the first token, tokens a second, tokens an answer; percent of calls limited (429), failed (500), broken off."""

    first: float = 200.0
    rate: float = 50.0
    tokens: float = 60.0
    limited: float = 0.0
    failed: float = 0.0
    broken: float = 0.0


def behaviour(model: str) -> MockBehaviour:
    """The behaviour that a model's name requests. Raises ValueError for a name with unknown parts."""
    name, *parts = model.split(",")
    found = [_PART.fullmatch(part) for part in parts]
    if name != NAME or not all(found):
        raise ValueError(
            f"no such model: {model!r}; names are like {NAME},first=200ms,rate=50,tokens=60,limited=0,failed=0,broken=0"
        )
    wanted = MockBehaviour(**{match[1]: float(match[2]) for match in found if match})
    if wanted.rate <= 0 or wanted.limited + wanted.failed + wanted.broken > 100:
        raise ValueError(f"no such model: {model!r}: the rate must be above 0, and shares together at most 100")
    return wanted


def outcome_of_call(wanted: MockBehaviour, chance: random.Random) -> str:
    """The outcome of one call: `limited`, `failed`, `broken`, or `answered`."""
    drawn = chance.random() * 100
    for name in ("limited", "failed", "broken"):
        drawn -= getattr(wanted, name)
        if drawn < 0:
            return name
    return "answered"


class BrokenOff(Exception):
    """The connection ends in the middle of the answer, as it would if the model's server died."""


async def pieces(wanted: MockBehaviour, *, broken: bool, model: str = NAME) -> AsyncIterator[bytes]:
    """The events of one answer at its pace, complete by the protocol, so that OpenAI's own client can read them.
    Raises BrokenOff half way for a broken call."""
    whole = {"id": "chatcmpl-mock", "object": "chat.completion.chunk", "created": 0, "model": model}
    words = [word + " " for word in (_SENTENCE * (1 + int(wanted.tokens) // 13)).split()][: int(wanted.tokens)]
    await asyncio.sleep(wanted.first / 1000)
    for number, word in enumerate(words):
        if broken and number >= len(words) // 2:
            raise BrokenOff
        choice = {"index": 0, "delta": {"content": word}, "finish_reason": "stop" if number == len(words) - 1 else None}
        yield b"data: " + json.dumps({**whole, "choices": [choice]}).encode() + b"\n\n"
        await asyncio.sleep(1 / wanted.rate)
    yield b"data: [DONE]\n\n"


def create_app() -> Starlette:
    """The server. Each model name has its own random generator, from one seed."""
    chances: dict[str, random.Random] = {}

    async def completions(request: Request) -> Response:
        model = str((await request.json()).get("model", ""))
        try:
            wanted = behaviour(model)
        except ValueError as error:
            return _error(404, str(error))
        happens = outcome_of_call(wanted, chances.setdefault(model, random.Random(SEED)))  # noqa: S311 - no secret
        if happens == "limited":
            return _error(429, "too many requests, as the model's name asks for")
        if happens == "failed":
            return _error(500, "failed, as the model's name asks for")
        return StreamingResponse(pieces(wanted, broken=happens == "broken", model=model), media_type="text/event-stream")

    async def health(_: Request) -> Response:
        return JSONResponse({"status": "ok", "what": "a mock of a language model"})

    return Starlette(routes=[Route("/v1/chat/completions", completions, methods=["POST"]), Route("/healthz", health)])


def _error(status: int, message: str) -> Response:
    body: dict[str, Any] = {"error": {"message": message, "type": NAME, "code": status}}
    return JSONResponse(body, status)


def main() -> None:
    """Serve until SIGTERM, on loopback unless another address is given."""
    parser = argparse.ArgumentParser(
        prog="python -m loadtests.mock_model", description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on; 0.0.0.0 for every one, as a pod needs")
    parser.add_argument("--port", type=int, default=8090)
    options = parser.parse_args()
    uvicorn.run(create_app(), host=options.host, port=options.port, log_level="warning")


if __name__ == "__main__":
    main()
