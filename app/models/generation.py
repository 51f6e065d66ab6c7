"""Telemetry of one call to a language model: a span, the time to its first piece of text, and its tokens."""

from __future__ import annotations

import time
from typing import Self

from app.observability import token_usage
from app.observability.metrics import FIRST_TOKEN, TOKENS, counter, histogram
from app.observability.tracing import ModelCall


class Generation:
    """A context manager around the whole stream, the wait for its first piece included."""

    def __init__(self, provider: str, model: str, max_tokens: int) -> None:
        self._provider = provider
        self._call = ModelCall("chat", provider, model, {"gen_ai.request.max_tokens": max_tokens})
        self._began = time.perf_counter()
        self._waiting = True
        self._tokens: dict[str, int] = {}

    def piece(self) -> None:
        """Record that a piece of text arrived."""
        if self._waiting:
            self._waiting = False
            histogram(FIRST_TOKEN, self._provider).observe(time.perf_counter() - self._began)

    def used(self, read: int, written: int) -> None:
        """Record the tokens of the whole answer so far, as the provider counted them. Some providers report them
        once at the end, some with every piece."""
        self._tokens = {"input": read, "output": written}

    def finished(self, reason: str) -> None:
        """Record why the model stopped."""
        self._call.note("gen_ai.response.finish_reasons", [reason])

    def __enter__(self) -> Self:
        self._call.__enter__()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: object, trace: object) -> None:
        token_usage.add_tokens(self._tokens.get("input", 0), self._tokens.get("output", 0))
        for name, tokens in self._tokens.items():
            counter(TOKENS, self._provider, name).inc(tokens)
            self._call.note(f"gen_ai.usage.{name}_tokens", tokens)
        self._call.__exit__(kind, error, trace)
