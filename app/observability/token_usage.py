"""How many tokens the language model read and wrote for one answer, for the answer itself to say."""

from __future__ import annotations

from contextvars import ContextVar
from dataclasses import dataclass


@dataclass
class TokenUsage:
    """As the provider counted them; both are 0 where no language model was asked."""

    input_tokens: int = 0
    output_tokens: int = 0


_usage: ContextVar[TokenUsage | None] = ContextVar("token_usage", default=None)


def begin_counting() -> TokenUsage:
    """For one answer. Tasks that it starts add to the same counts."""
    usage = TokenUsage()
    _usage.set(usage)
    return usage


def add_tokens(input_tokens: int, output_tokens: int) -> None:
    """Outside an answer nothing happens."""
    usage = _usage.get()
    if usage is not None:
        usage.input_tokens += input_tokens
        usage.output_tokens += output_tokens
