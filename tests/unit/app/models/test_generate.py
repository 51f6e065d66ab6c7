"""Language model providers, against recorded forms of their protocols; no network."""

from __future__ import annotations

import json
from collections.abc import Callable

import httpx
import pytest
from botocore.exceptions import ClientError
from prometheus_client import REGISTRY

from app.errors import ModelUnavailable
from app.models.bedrock import FAILURES_TO_OPEN
from app.models.generate_bedrock import BedrockGenerator
from app.models.generate_openai import OpenAIGenerator
from app.settings import Settings

pytestmark = pytest.mark.anyio


@pytest.fixture(autouse=True)
def no_waiting() -> None:
    import stamina

    with stamina.set_testing(True, attempts=3):
        yield  # type: ignore[misc]


def _sse(*texts: str) -> bytes:
    lines = [f"data: {json.dumps({'choices': [{'delta': {'content': text}}]})}\n\n" for text in texts]
    return ("".join(lines) + "data: [DONE]\n\n").encode()


def _openai(handler: Callable[[httpx.Request], httpx.Response]) -> OpenAIGenerator:
    settings = Settings(
        generation="openai", generation_model="m", openai_base_url="http://127.0.0.1:9/v1", openai_api_key="secret-key"
    )
    return OpenAIGenerator(settings, httpx.MockTransport(handler))


async def _read(generator: OpenAIGenerator | BedrockGenerator) -> str:
    return "".join([text async for text in generator.stream("system", "user")])


async def test_openai_streams_text_and_sends_the_key() -> None:
    seen: list[httpx.Request] = []

    def handler(request: httpx.Request) -> httpx.Response:
        seen.append(request)
        return httpx.Response(200, content=_sse("Hello ", "world [1]."))

    assert await _read(_openai(handler)) == "Hello world [1]."
    assert seen[0].url.path == "/v1/chat/completions"
    assert seen[0].headers["authorization"] == "Bearer secret-key"
    assert json.loads(seen[0].content)["messages"][0] == {"role": "system", "content": "system"}


def _counted(provider: str) -> dict[str, float]:
    """Tokens by kind, and streams of which the first piece was timed."""
    labels = {"provider": provider}
    tokens = {
        kind: REGISTRY.get_sample_value("teal_model_tokens_total", {**labels, "kind": kind}) for kind in ("input", "output")
    }
    begun = REGISTRY.get_sample_value("teal_model_first_token_seconds_count", labels)
    return {name: value or 0.0 for name, value in {**tokens, "begun": begun}.items()}


def _grown(before: dict[str, float], provider: str) -> dict[str, float]:
    return {name: value - before[name] for name, value in _counted(provider).items()}


async def test_openai_s_own_count_of_tokens_is_asked_for_and_kept() -> None:
    seen: list[httpx.Request] = []
    usage = {"choices": [], "usage": {"prompt_tokens": 120, "completion_tokens": 9}}

    def handler(request: httpx.Request) -> httpx.Response:
        seen.append(request)
        return httpx.Response(
            200, content=_sse("one ", "two").replace(b"data: [DONE]", f"data: {json.dumps(usage)}\n\ndata: [DONE]".encode())
        )

    before = _counted("openai")
    assert await _read(_openai(handler)) == "one two"
    assert json.loads(seen[0].content)["stream_options"] == {"include_usage": True}
    assert _grown(before, "openai") == {"input": 120, "output": 9, "begun": 1}


async def test_bedrock_s_own_count_of_tokens_is_kept() -> None:
    """Form of the events: botocore's model of ConverseStream."""
    events: list[dict[str, object]] = [
        {"contentBlockDelta": {"delta": {"text": "one"}}},
        {"messageStop": {"stopReason": "end_turn"}},
        {"metadata": {"usage": {"inputTokens": 70, "outputTokens": 4, "totalTokens": 74}, "metrics": {"latencyMs": 5}}},
    ]
    before = _counted("bedrock")
    assert await _read(BedrockGenerator(_settings(), _Bedrock(events))) == "one"  # type: ignore[arg-type]
    assert _grown(before, "bedrock") == {"input": 70, "output": 4, "begun": 1}


async def test_a_busy_model_is_asked_again() -> None:
    answers = iter([httpx.Response(429), httpx.Response(503), httpx.Response(200, content=_sse("ok"))])
    assert await _read(_openai(lambda _: next(answers))) == "ok"


@pytest.mark.parametrize("status", [401, 404])
async def test_a_refusal_is_not_repeated_and_names_the_setting(status: int) -> None:
    calls: list[int] = []

    def handler(_: httpx.Request) -> httpx.Response:
        calls.append(1)
        return httpx.Response(status)

    with pytest.raises(ModelUnavailable, match="TEAL_GENERATION_MODEL"):
        await _read(_openai(handler))
    assert len(calls) == 1


async def test_a_dead_model_is_left_alone_after_repeated_failures() -> None:
    calls: list[int] = []

    def handler(_: httpx.Request) -> httpx.Response:
        calls.append(1)
        raise httpx.ConnectError("refused")

    generator = _openai(handler)
    for _ in range(8):
        with pytest.raises(ModelUnavailable):
            await _read(generator)
    assert len(calls) == 5 * 3  # five failures of three tries each, then the breaker is open


async def test_a_stream_that_breaks_off_says_so() -> None:
    with pytest.raises(ModelUnavailable, match="middle"):
        await _read(_openai(lambda _: httpx.Response(200, content=b"data: {not json\n\n")))


class _Bedrock:
    """The one call of boto3's client that is used."""

    def __init__(self, events: list[dict[str, object]] | Exception) -> None:
        self._events = events
        self.request: dict[str, object] = {}
        self.asked = 0

    def converse_stream(self, **request: object) -> dict[str, object]:
        self.request = request
        self.asked += 1
        if isinstance(self._events, Exception):
            raise self._events
        return {"stream": iter(self._events)}


def _settings() -> Settings:
    return Settings(generation="bedrock", generation_model="some.model", aws_region="eu-central-1")


async def test_bedrock_streams_text() -> None:
    events = [
        {"messageStart": {}},
        *({"contentBlockDelta": {"delta": {"text": text}}} for text in ("a ", "b")),
        {"messageStop": {}},
    ]
    client = _Bedrock(events)
    assert await _read(BedrockGenerator(_settings(), client)) == "a b"  # type: ignore[arg-type]
    assert client.request["modelId"] == "some.model"


async def test_bedrock_request_fits_botocores_model_of_the_api() -> None:
    import botocore.session
    from botocore.validate import ParamValidator

    client = _Bedrock([])
    await _read(BedrockGenerator(_settings(), client))  # type: ignore[arg-type]
    shape = botocore.session.get_session().get_service_model("bedrock-runtime").operation_model("ConverseStream").input_shape
    assert not ParamValidator().validate(client.request, shape).has_errors()


@pytest.mark.parametrize(
    ("code", "asked"), [("ValidationException", FAILURES_TO_OPEN + 1), ("ThrottlingException", FAILURES_TO_OPEN)]
)
async def test_bedrock_is_left_alone_for_its_own_failures_and_not_for_a_questions(code: str, asked: int) -> None:
    client = _Bedrock(ClientError({"Error": {"Code": code, "Message": "no"}}, "ConverseStream"))
    generator = BedrockGenerator(_settings(), client)  # type: ignore[arg-type]
    for _ in range(FAILURES_TO_OPEN + 1):
        with pytest.raises(ModelUnavailable):
            await _read(generator)
    assert client.asked == asked


async def test_bedrock_failure_names_the_model() -> None:
    from botocore.exceptions import EndpointConnectionError

    with pytest.raises(ModelUnavailable, match=r"some\.model"):
        await _read(BedrockGenerator(_settings(), _Bedrock(EndpointConnectionError(endpoint_url="http://127.0.0.1:9"))))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("refused", "instead"), [("max_tokens", "max_completion_tokens"), ("temperature", None), ("stream_options", None)]
)
async def test_an_option_that_a_model_refuses_is_replaced_and_not_sent_again(refused: str, instead: str | None) -> None:
    seen: list[dict[str, object]] = []

    def handler(request: httpx.Request) -> httpx.Response:
        seen.append(json.loads(request.content))
        if refused in seen[-1]:
            message = f"Unsupported parameter: '{refused}' is not supported with this model."
            return httpx.Response(400, json={"error": {"message": message, "param": refused}})
        return httpx.Response(200, content=_sse("ok"))

    generator = _openai(handler)
    assert await _read(generator) == await _read(generator) == "ok"
    assert [refused in body for body in seen] == [True, False, False]
    assert instead is None or seen[-1][instead] == 600


async def test_a_refusal_shows_the_endpoints_own_words_without_the_key() -> None:
    body = {"error": {"message": "The model `m` does not exist\nfor secret-key."}}
    with pytest.raises(ModelUnavailable, match=r"404: The model `m` does not exist for \*\*\*\. Check TEAL_GENERATION_MODEL"):
        await _read(_openai(lambda _: httpx.Response(404, json=body)))


async def test_an_error_page_is_not_shown() -> None:
    with pytest.raises(ModelUnavailable, match=r"status 403\. Check"):
        await _read(_openai(lambda _: httpx.Response(403, text="<html><body>Forbidden</body></html>")))
