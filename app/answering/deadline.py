"""How long a language model may speak, and how much it may say."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, AsyncIterator
from typing import Final

from app.errors import ModelUnavailable

# The most characters that a model may say to one question, its reasoning included; an answer of TEAL_MAX_ANSWER_TOKENS (600) has 4,000
MOST_CHARACTERS: Final = 100_000


async def until_deadline(pieces: AsyncGenerator[str, None], seconds: float) -> AsyncIterator[str]:
    """The pieces, while the whole of them takes no longer than `seconds` and has no more than MOST_CHARACTERS."""
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
