"""Any endpoint that speaks OpenAI's chat completions: vLLM, llama.cpp, Ollama, LiteLLM, OpenAI itself."""

from __future__ import annotations

import contextlib
import json
import re
from collections.abc import AsyncGenerator
from typing import Any, Final

import httpx
import stamina
from circuitbreaker import CircuitBreaker

from app.errors import ModelUnavailable
from app.models.generation import Generation
from app.observability.metrics import MODEL_CALLS, MODEL_LIMITED, PROVIDER_ERRORS
from app.settings import Settings

_CONNECT_SECONDS: Final = 3.0
_ATTEMPTS: Final = 3  # only before the first token: a stream that broke in the middle is not repeated
_BREAKER_FAILURES: Final = 5
_BREAKER_SECONDS: Final = 15
_SHOWN_CHARACTERS: Final = 300  # the most that is shown of an endpoint's message about a refusal
_MOST_READ_BYTES: Final = 20_000  # the most that is read of a refusal, because an error page may be long
# Options that newer models refuse, and the option that replaces each; None: it is left out.
_INSTEAD: Final = {"max_tokens": "max_completion_tokens", "temperature": None, "stream_options": None}


class _Busy(Exception):
    """The endpoint answered 429 or 5xx, so another try may succeed."""


class OpenAIGenerator:
    """Streams `POST {base}/chat/completions`; retries with jitter before the first token, then a circuit breaker."""

    def __init__(self, settings: Settings, transport: httpx.AsyncBaseTransport | None = None) -> None:
        self.label = f"Written by {settings.generation_model or 'the configured model'} from the cited sources."
        self._model = settings.generation_model
        self._max_tokens = settings.max_answer_tokens
        self._options: dict[str, Any] = {
            "max_tokens": self._max_tokens,
            "temperature": 0,
            # Asks for a last chunk with the token counts; most servers that do not know the option ignore it.
            "stream_options": {"include_usage": True},
        }
        self._key = settings.openai_api_key
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
        while True:
            options = self._options
            response = await self._asked(system, user, options)
            if response.is_success:
                return response
            refusal = await self._refusal(response)
            if response.status_code == 429:
                MODEL_LIMITED.labels("openai").inc()
            if response.status_code == 429 or response.status_code >= 500:
                raise _Busy(f"status {response.status_code}: {refusal}")
            refused = next((name for name in options if re.search(rf"\b{name}\b", refusal)), None) if refusal else None
            if response.status_code not in (400, 422) or refused not in _INSTEAD:
                raise ModelUnavailable(
                    f"The language model refused the request with status {response.status_code}"
                    f"{f': {refusal}' if refusal else ''}. Check TEAL_GENERATION_MODEL and its key."
                )
            self._options = _without(options, refused)  # kept for the next questions: this model never accepts the option

    async def _asked(self, system: str, user: str, options: dict[str, Any]) -> httpx.Response:
        messages = [{"role": "system", "content": system}, {"role": "user", "content": user}]
        body = {"model": self._model, "stream": True, **options, "messages": messages}
        MODEL_CALLS.labels("openai").inc()
        try:
            response = await self._client.send(self._client.build_request("POST", "chat/completions", json=body), stream=True)
        except httpx.TransportError:
            PROVIDER_ERRORS.labels("openai").inc()
            raise
        if not response.is_success:
            PROVIDER_ERRORS.labels("openai").inc()
        return response

    async def _refusal(self, response: httpx.Response) -> str:
        """The endpoint's own words, short, on one line, without our key."""
        raw = b""
        try:
            async for part in response.aiter_bytes():
                raw += part
                if len(raw) > _MOST_READ_BYTES:
                    break
        except httpx.TransportError:
            pass  # the status alone is informative enough
        finally:
            await response.aclose()
        words = " ".join(_message(raw).split())
        if self._key is not None:
            words = words.replace(self._key.get_secret_value(), "***")
        return words[:_SHOWN_CHARACTERS].rstrip(" .")


def _without(options: dict[str, Any], refused: str) -> dict[str, Any]:
    """The options without the one that the endpoint refused; if another option has the same meaning, it is used instead."""
    instead = _INSTEAD[refused]
    return {
        (instead or name) if name == refused else name: value for name, value in options.items() if name != refused or instead
    }


def _message(raw: bytes) -> str:
    text = raw.decode("utf-8", "replace")
    try:
        error = json.loads(text)
    except ValueError:
        return "" if "<" in text[:200] else text
    while isinstance(error, dict):
        error = error.get("error") or error.get("message") or error.get("detail") or ""
    return error if isinstance(error, str) else json.dumps(error)


def _note(chunk: dict[str, Any], generation: Generation) -> None:
    if usage := chunk.get("usage"):
        generation.used(int(usage.get("prompt_tokens") or 0), int(usage.get("completion_tokens") or 0))
    reason = (chunk.get("choices") or [{}])[0].get("finish_reason")
    if reason:
        generation.finished(str(reason))


def _piece(chunk: dict[str, Any]) -> str:
    choices = chunk.get("choices") or [{}]
    return (choices[0].get("delta") or {}).get("content") or ""
