"""From retrieved passages to a cited answer, as a stream of events."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from typing import Protocol

from app.answering import evidence, prompt
from app.answering.attribution import Attribution, Claim
from app.answering.cite import Sentences
from app.answering.deadline import until_deadline
from app.answering.prompt import DONT_KNOW, PromptSource
from app.answering.question import Question
from app.answering.reasoning import Reasoning
from app.models.port import Generator


@dataclass(frozen=True, slots=True)
class Token:
    """Text to append to the answer. Only whole sentences with a valid citation get this far."""

    text: str


@dataclass(frozen=True, slots=True)
class Cited:
    """Announces the first citation of source `n`."""

    n: int


@dataclass(frozen=True, slots=True)
class Done:
    """The whole answer. `grounded` is False only when the answer is `DONT_KNOW`. `written`: how many sentences the writer
    wrote; `dropped`: how many of them were left out because they had no valid citation. `conflicting`: the answer shows
    documents that contradict each other."""

    answer: str
    cited: tuple[int, ...]
    grounded: bool
    dropped: int = 0
    written: int = 0
    conflicting: bool = False


Event = Token | Cited | Done


class Writer(Protocol):
    """Writes an answer from sources: sentences, each with the numbers of the sources that state it."""

    label: str

    def write(self, question: Question, sources: Sequence[PromptSource], best_cosine: float | None) -> AsyncIterator[Claim]: ...


class PromptedWriter:
    """A writer that prompts a language model to answer from the sources alone; raises ModelUnavailable after the deadline."""

    def __init__(self, generator: Generator, *, deadline_seconds: float) -> None:
        self._generator = generator
        self._deadline_seconds = deadline_seconds
        self.label = generator.label

    async def write(self, question: Question, sources: Sequence[PromptSource], best_cosine: float | None) -> AsyncIterator[Claim]:
        """The claims of the model's answer. When the evidence is weak there are none, and the model is not asked."""
        if not evidence.is_enough(question, [f"{source.title}\n{source.text}" for source in sources], best_cosine):
            return
        asked, cutter = prompt.build(question.text, sources), Sentences()
        reasoning, attribution = Reasoning(), Attribution(sources)
        async with contextlib.aclosing(self._generator.stream(asked.system, asked.user)) as pieces:
            async for text in until_deadline(pieces, self._deadline_seconds):
                for sentence in cutter.feed(reasoning.feed(text)):
                    for claim in attribution.feed(sentence):
                        yield claim
        last = cutter.last(reasoning.rest())
        for claim in (*(claim for sentence in last for claim in attribution.feed(sentence)), *attribution.rest()):
            yield claim


async def answer(
    question: Question, sources: Sequence[PromptSource], best_cosine: float | None, writer: Writer
) -> AsyncIterator[Event]:
    """Yield tokens and citations as soon as they are final, then Done. If no claim cites a source, the answer is `DONT_KNOW`."""
    used, kept, dropped, conflicting = list[int](), list[str](), 0, False
    async for claim in writer.write(question, sources, best_cosine):
        if not claim.sources:
            dropped += _says_something(claim.text)
            continue
        conflicting = conflicting or claim.conflicting
        for event in _pass_on(claim.text, claim.sources, used, kept):
            yield event
    if not kept:
        yield Token(DONT_KNOW)
        yield Done(DONT_KNOW, (), grounded=False, dropped=dropped, written=dropped)
        return
    written = dropped + len(kept)
    whole = "".join(kept).strip()
    yield Done(whole, tuple(used), grounded=True, dropped=dropped, written=written, conflicting=conflicting)


def _says_something(sentence: str) -> bool:
    return bool(sentence.strip()) and sentence.strip() not in DONT_KNOW


def _pass_on(sentence: str, numbers: Sequence[int], used: list[int], kept: list[str]) -> list[Event]:
    new = [number for number in numbers if number not in used]
    used.extend(new)
    kept.append(sentence)
    return [Token(sentence), *(Cited(number) for number in new)]
