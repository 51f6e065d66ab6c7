"""From retrieved passages to a cited answer, as a stream of events."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from dataclasses import dataclass
from typing import Protocol

from app.errors import ModelUnavailable
from app.models.port import Generator
from app.rag import evidence, prompt
from app.rag.cite import Sentences, cited, without_invented
from app.rag.prompt import DONT_KNOW, Source


@dataclass(frozen=True, slots=True)
class Token:
    """Text to append to the answer. Only whole sentences with a valid citation get this far."""

    text: str


@dataclass(frozen=True, slots=True)
class Cited:
    """The first use of source `n`."""

    n: int


@dataclass(frozen=True, slots=True)
class Done:
    """The whole answer. `grounded` is False only when it is `DONT_KNOW`; `written` counts the sentences of the writer,
    `dropped` those of them that were left out as uncited."""

    answer: str
    cited: tuple[int, ...]
    grounded: bool
    dropped: int = 0
    written: int = 0


Event = Token | Cited | Done


@dataclass(frozen=True, slots=True)
class Claim:
    """A sentence of an answer and the sources that its writer says it is from; none: it will be dropped."""

    text: str
    sources: tuple[int, ...]


class Writer(Protocol):
    """Writes sentences from sources, each with the numbers of those that state it."""

    label: str

    def write(self, question: str, sources: Sequence[Source]) -> AsyncIterator[Claim]: ...


class PromptedWriter:
    """A language model told to answer from the sources alone; raises ModelUnavailable past the deadline."""

    def __init__(self, generator: Generator, *, deadline_seconds: float) -> None:
        self._generator = generator
        self._deadline_seconds = deadline_seconds
        self.label = generator.label

    async def write(self, question: str, sources: Sequence[Source]) -> AsyncIterator[Claim]:
        asked, cutter = prompt.build(question, sources), Sentences()
        async with contextlib.aclosing(self._generator.stream(asked.system, asked.user)) as pieces:
            async for text in _until(pieces, self._deadline_seconds):
                for sentence in cutter.feed(text):
                    yield _claim(sentence, len(sources))
        yield _claim(cutter.rest(), len(sources))


def _claim(sentence: str, sources: int) -> Claim:
    return Claim(without_invented(sentence, sources), tuple(cited(sentence, sources)))


async def _until(pieces: AsyncGenerator[str, None], seconds: float) -> AsyncIterator[str]:
    """The pieces, while the whole of them takes no longer than `seconds`."""
    end = time.monotonic() + seconds
    while True:
        try:
            yield await asyncio.wait_for(anext(pieces), max(0.0, end - time.monotonic()))
        except StopAsyncIteration:
            return
        except TimeoutError as error:
            raise ModelUnavailable(f"The language model took longer than {seconds:g} s for its answer.") from error


async def answer(question: str, sources: Sequence[Source], best_cosine: float | None, writer: Writer) -> AsyncIterator[Event]:
    """Tokens and citations as they become certain, then Done. Weak evidence is answered with `DONT_KNOW`, without the writer."""
    if not evidence.is_enough(question, [f"{source.title}\n{source.text}" for source in sources], best_cosine):
        yield Token(DONT_KNOW)
        yield Done(DONT_KNOW, (), grounded=False)
        return
    used, kept, dropped = list[int](), list[str](), 0
    async for claim in writer.write(question, sources):
        if not claim.sources:
            dropped += _says_something(claim.text)
            continue
        for event in _pass_on(claim.text, claim.sources, used, kept):
            yield event
    if not kept:
        yield Token(DONT_KNOW)
        yield Done(DONT_KNOW, (), grounded=False, dropped=dropped, written=dropped)
        return
    yield Done("".join(kept).strip(), tuple(used), grounded=True, dropped=dropped, written=dropped + len(kept))


def _says_something(sentence: str) -> bool:
    return bool(sentence.strip()) and sentence.strip() not in DONT_KNOW


def _pass_on(sentence: str, numbers: Sequence[int], used: list[int], kept: list[str]) -> list[Event]:
    new = [number for number in numbers if number not in used]
    used.extend(new)
    kept.append(sentence)
    return [Token(sentence), *(Cited(number) for number in new)]
