"""From retrieved passages to a cited answer, as a stream of events."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Iterator, Sequence
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


@dataclass(frozen=True, slots=True)
class Words:
    """Words of a language model as they come, before anybody knows whether a source supports them."""

    text: str


@dataclass(frozen=True, slots=True)
class Retract:
    """Takes back the words from `start` to `end`, counted in characters from the first word of the answer. What of them is
    supported comes again as tokens, right after this."""

    start: int
    end: int


Draft = Words | Retract
Event = Token | Cited | Draft | Done


class Writer(Protocol):
    """Writes an answer from sources: sentences, each with the numbers of the sources that state it. A writer that has the words
    of a sentence before it knows its sources yields them too, and takes back all of them before it ends."""

    label: str

    def write(
        self, question: Question, sources: Sequence[PromptSource], best_cosine: float | None
    ) -> AsyncIterator[Claim | Draft]: ...


class PromptedWriter:
    """A writer that prompts a language model to answer from the sources alone; raises ModelUnavailable after the deadline."""

    def __init__(self, generator: Generator, *, deadline_seconds: float) -> None:
        self._generator = generator
        self._deadline_seconds = deadline_seconds
        self.label = generator.label

    async def write(
        self, question: Question, sources: Sequence[PromptSource], best_cosine: float | None
    ) -> AsyncIterator[Claim | Draft]:
        """The claims of the model's answer, and its words. When the evidence is weak there are none, and the model is not asked."""
        if not evidence.is_enough(question, [f"{source.title}\n{source.text}" for source in sources], best_cosine):
            return
        asked, reasoning, draft = prompt.build(question.text, sources), Reasoning(), _Checked(Attribution(sources))
        async with contextlib.aclosing(self._generator.stream(asked.system, asked.user)) as pieces:
            async for text in until_deadline(pieces, self._deadline_seconds):
                for one in draft.feed(reasoning.feed(text)):
                    yield one
        for one in draft.last(reasoning.rest()):
            yield one


class _Checked:
    """Turns a model's words into claims. The words go out at once; they are taken back when the claims that they became are final."""

    def __init__(self, attribution: Attribution) -> None:
        self._attribution = attribution
        self._cutter = Sentences()
        self._read = 0  # characters of the words that were cut into sentences
        self._settled = 0  # characters whose words were taken back

    def feed(self, text: str) -> Iterator[Claim | Draft]:
        """Add words; yields them, and the claims that are now final."""
        if text:
            yield Words(text)
            yield from self._claims(self._cutter.feed(text))

    def last(self, text: str) -> Iterator[Claim | Draft]:
        """End with `text`; yields the remaining claims, and takes back all words that are still there."""
        if text:
            yield Words(text)
        yield from self._claims(self._cutter.last(text))
        rest = [*self._attribution.rest()]
        if self._read > self._settled:
            yield self._retract(self._read)
        yield from rest

    def _claims(self, sentences: Sequence[str]) -> Iterator[Claim | Draft]:
        for sentence, end in zip(sentences, self._cutter.ends, strict=True):
            self._read = end
            claims = [*self._attribution.feed(sentence)]
            if claims or not self._attribution.waits:  # the words of a sentence that waits for its citation stay
                yield self._retract(end)
            yield from claims

    def _retract(self, end: int) -> Retract:
        start, self._settled = self._settled, end
        return Retract(start, end)


async def answer(
    question: Question, sources: Sequence[PromptSource], best_cosine: float | None, writer: Writer
) -> AsyncIterator[Event]:
    """Yield words as they come, tokens and citations as soon as they are final, then Done.
    If no claim cites a source, the answer is `DONT_KNOW`."""
    used, kept, dropped, conflicting = list[int](), list[str](), 0, False
    async for claim in writer.write(question, sources, best_cosine):
        if not isinstance(claim, Claim):
            yield claim
            continue
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
