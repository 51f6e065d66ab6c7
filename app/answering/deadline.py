"""Limits on the time and the length of a language model's stream."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, AsyncIterator
from typing import Final

from app.errors import ModelUnavailable

# The most characters that a model may write for one question, reasoning included; an answer of
# TEAL_MAX_ANSWER_TOKENS (600) has 4,000.
MOST_CHARACTERS: Final = 100_000


async def until_deadline(pieces: AsyncGenerator[str, None], seconds: float) -> AsyncIterator[str]:
    """Pass on the pieces of a stream as long as it takes at most `seconds` in all and has at most MOST_CHARACTERS."""
    end, left = time.monotonic() + seconds, MOST_CHARACTERS
    while True:
        try:
            piece = await asyncio.wait_for(anext(pieces), max(0.0, end - time.monotonic()))
            left -= len(piece)
            if left < 0:
                raise ModelUnavailable(f"The language model said more than {MOST_CHARACTERS} characters, which is no answer.")
            yield piece
        except StopAsyncIteration:
            return
        except TimeoutError as error:
            raise ModelUnavailable(f"The language model took longer than {seconds:g} s for its answer.") from error
