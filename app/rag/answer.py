"""From retrieved passages to a cited answer, as a stream of events."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from typing import Protocol

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
    """The whole answer. `grounded` is False only when it is `DONT_KNOW`; `dropped` counts sentences left out as uncited."""

    answer: str
    cited: tuple[int, ...]
    grounded: bool
    dropped: int = 0


Event = Token | Cited | Done


class Writer(Protocol):
    """Writes text with [n] marks from sources."""

    label: str

    def write(self, question: str, sources: Sequence[Source]) -> AsyncIterator[str]: ...


class PromptedWriter:
    """A language model told to answer from the sources alone."""

    def __init__(self, generator: Generator) -> None:
        self._generator = generator
        self.label = generator.label

    async def write(self, question: str, sources: Sequence[Source]) -> AsyncIterator[str]:
        asked = prompt.build(question, sources)
        async for text in self._generator.stream(asked.system, asked.user):
            yield text


async def answer(question: str, sources: Sequence[Source], best_cosine: float | None, writer: Writer) -> AsyncIterator[Event]:
    """Tokens and citations as they become certain, then Done. Weak evidence is answered with `DONT_KNOW`, without the writer."""
    if not evidence.is_enough(question, [f"{source.title}\n{source.text}" for source in sources], best_cosine):
        yield Token(DONT_KNOW)
        yield Done(DONT_KNOW, (), grounded=False)
        return
    cutter, used, kept, dropped = Sentences(), list[int](), list[str](), 0
    async for text in writer.write(question, sources):
        for sentence in cutter.feed(text):
            numbers = cited(sentence, len(sources))
            if not numbers:
                dropped += _is_claim(sentence)
                continue
            for event in _pass_on(without_invented(sentence, len(sources)), numbers, used, kept):
                yield event
    last = cutter.rest()
    numbers = cited(last, len(sources))
    if numbers:
        for event in _pass_on(without_invented(last, len(sources)), numbers, used, kept):
            yield event
    else:
        dropped += _is_claim(last)
    if not kept:
        yield Token(DONT_KNOW)
        yield Done(DONT_KNOW, (), grounded=False, dropped=dropped)
        return
    yield Done("".join(kept).strip(), tuple(used), grounded=True, dropped=dropped)


def _is_claim(sentence: str) -> bool:
    return bool(sentence.strip()) and sentence.strip() not in DONT_KNOW


def _pass_on(sentence: str, numbers: Sequence[int], used: list[int], kept: list[str]) -> list[Event]:
    new = [number for number in numbers if number not in used]
    used.extend(new)
    kept.append(sentence)
    return [Token(sentence), *(Cited(number) for number in new)]
