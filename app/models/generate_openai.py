"""Any endpoint that speaks OpenAI's chat completions: vLLM, llama.cpp, Ollama, LiteLLM, OpenAI itself."""

from __future__ import annotations

import contextlib
import json
from collections.abc import AsyncGenerator
from typing import Any, Final

import httpx
import stamina
from circuitbreaker import CircuitBreaker

from app.errors import ModelUnavailable
from app.models.generation import Generation
from app.settings import Settings
from app.telemetry import MODEL_CALLS, MODEL_LIMITED, PROVIDER_ERRORS

_CONNECT_SECONDS: Final = 3.0
_ATTEMPTS: Final = 3  # only before the first token: a stream that broke in the middle is not repeated
_BREAKER_FAILURES: Final = 5
_BREAKER_SECONDS: Final = 15


class _Busy(Exception):
    """429 or 5xx: worth another try."""


class OpenAIGenerator:
    """Streams `POST {base}/chat/completions`; retries with jitter before the first token, then a circuit breaker."""

    def __init__(self, settings: Settings, transport: httpx.AsyncBaseTransport | None = None) -> None:
        self.label = f"Written by {settings.generation_model or 'the configured model'} from the cited sources."
        self._model = settings.generation_model
        self._max_tokens = settings.max_answer_tokens
        headers = {}
        if settings.openai_api_key is not None:
            headers["Authorization"] = f"Bearer {settings.openai_api_key.get_secret_value()}"
        self._client = httpx.AsyncClient(
            base_url=settings.openai_base_url.rstrip("/") + "/",
            headers=headers,
            timeout=httpx.Timeout(settings.generation_timeout_seconds, connect=_CONNECT_SECONDS),
            transport=transport,
        )
        self._breaker = CircuitBreaker(_BREAKER_FAILURES, _BREAKER_SECONDS, (httpx.TransportError, _Busy), name="generation")

    async def stream(self, system: str, user: str) -> AsyncGenerator[str, None]:
        """Text pieces as they arrive; raises ModelUnavailable."""
        if self._breaker.opened:
            raise ModelUnavailable("The language model has failed repeatedly and is left alone for some seconds.")
        with Generation("openai", self._model, self._max_tokens) as generation:
            async with contextlib.aclosing(self._pieces(system, user, generation)) as pieces:
                async for piece in pieces:
                    generation.piece()
                    yield piece

    async def _pieces(self, system: str, user: str, generation: Generation) -> AsyncGenerator[str, None]:
        try:
            response = await self._breaker.call_async(self._open, system, user)
        except (httpx.TransportError, _Busy) as error:
            raise ModelUnavailable(f"The language model at {self._client.base_url.host} did not answer: {error!r}.") from error
        try:
            async for line in response.aiter_lines():
                if not line.startswith("data:") or line.endswith("[DONE]"):
                    continue
                chunk = json.loads(line[5:])
                _note(chunk, generation)
                if text := _piece(chunk):
                    yield text
        except (httpx.TransportError, ValueError) as error:
            PROVIDER_ERRORS.labels("openai").inc()
            raise ModelUnavailable(f"The language model broke off in the middle of its answer: {error!r}.") from error
        finally:
            await response.aclose()

    async def close(self) -> None:
        await self._client.aclose()

    @stamina.retry(on=(httpx.TransportError, _Busy), attempts=_ATTEMPTS, timeout=20.0, wait_initial=0.2, wait_max=2.0)
    async def _open(self, system: str, user: str) -> httpx.Response:
        body = {
            "model": self._model,
            "stream": True,
            "stream_options": {"include_usage": True},  # the last chunk counts the tokens; servers that do not know it ignore it
            "max_tokens": self._max_tokens,
            "temperature": 0,
            "messages": [{"role": "system", "content": system}, {"role": "user", "content": user}],
        }
        MODEL_CALLS.labels("openai").inc()
        try:
            response = await self._client.send(self._client.build_request("POST", "chat/completions", json=body), stream=True)
        except httpx.TransportError:
            PROVIDER_ERRORS.labels("openai").inc()
            raise
        if response.is_success:
            return response
        PROVIDER_ERRORS.labels("openai").inc()
        await response.aclose()
        if response.status_code == 429:
            MODEL_LIMITED.labels("openai").inc()
        if response.status_code == 429 or response.status_code >= 500:
            raise _Busy(f"status {response.status_code}")
        raise ModelUnavailable(
            f"The language model refused the request with status {response.status_code}: check TEAL_GENERATION_MODEL and its key."
        )


def _note(chunk: dict[str, Any], generation: Generation) -> None:
    if usage := chunk.get("usage"):
        generation.used(int(usage.get("prompt_tokens") or 0), int(usage.get("completion_tokens") or 0))
    reason = (chunk.get("choices") or [{}])[0].get("finish_reason")
    if reason:
        generation.finished(str(reason))


def _piece(chunk: dict[str, Any]) -> str:
    choices = chunk.get("choices") or [{}]
    return (choices[0].get("delta") or {}).get("content") or ""
