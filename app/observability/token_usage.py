"""Counts the tokens that the language model read and wrote for one answer; the answer reports them."""

from __future__ import annotations

from contextvars import ContextVar
from dataclasses import dataclass


@dataclass
class TokenUsage:
    """Tokens of one answer as the provider counted them; both counts are 0 when no language model was asked."""

    input_tokens: int = 0
    output_tokens: int = 0


_usage: ContextVar[TokenUsage | None] = ContextVar("token_usage", default=None)


def begin_counting() -> TokenUsage:
    """Begin to count for one answer; tasks that it starts add to the same counts."""
    usage = TokenUsage()
    _usage.set(usage)
    return usage


def add_tokens(input_tokens: int, output_tokens: int) -> None:
    """Add tokens to the counts of the current answer; does nothing outside an answer."""
    usage = _usage.get()
    if usage is not None:
        usage.input_tokens += input_tokens
        usage.output_tokens += output_tokens
