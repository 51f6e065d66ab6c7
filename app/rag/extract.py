"""Answers without a language model: the sentences of the sources that best match the question, word for word."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Final

from app.rag.answer import Claim
from app.rag.chunk import sentences
from app.rag.evidence import terms
from app.rag.prompt import Source
from app.search.port import Vector

# The question's vector, then one for each text.
Embed = Callable[[str, list[str]], Awaitable[list[Vector]]]

LABEL: Final = "Extracted word for word from the sources; no language model wrote this."

_PARAGRAPHS: Final = re.compile(r"\n\s*\n")
_BULLET: Final = re.compile(r"^(?:[*+-]|\d+\.)\s+")
_FOOTNOTE: Final = re.compile(r"\s?\[\d{1,3}\]")
_ENDS: Final = (".", "!", "?", '."', ".)")
_MIN_WORDS: Final = 5  # shorter pieces are headings and fragments
_MAX_WORDS: Final = 60  # longer pieces are tables and code listings
_MAX_SENTENCES_SCORED: Final = 48  # about 50 ms of one core with MiniLM; passages beyond the first few rarely hold the answer
_MAX_SENTENCES: Final = 4
_KEEP_SHARE_OF_BEST: Final = 0.72  # a sentence far behind the best one is about something else
_SOURCE_DISCOUNT: Final = 0.04  # per rank: between equal sentences the better passage's wins
_SAME: Final = 0.8  # share of common words from which two sentences say the same


@dataclass(frozen=True, slots=True)
class Extracted:
    """A sentence of a source; `position` is its place in the passage."""

    text: str
    n: int
    position: int


def standing_alone(source: Source) -> list[Extracted]:
    """The sentences of a passage that can stand alone: whole ones, neither fragments nor listings."""
    pieces = (
        _BULLET.sub("", " ".join(sentence.split()))
        for paragraph in _PARAGRAPHS.split(source.text)
        for sentence in sentences(paragraph)
    )
    return [Extracted(piece, source.n, position) for position, piece in enumerate(pieces) if _is_whole(piece)]


def _is_whole(piece: str) -> bool:
    return (
        _MIN_WORDS <= len(piece.split()) <= _MAX_WORDS
        and piece.endswith(_ENDS)
        and piece.count("(") == piece.count(")")  # a passage may begin or end inside a long sentence
    )


def candidates(sources: Sequence[Source]) -> list[Extracted]:
    """The sentences worth scoring, best passages first."""
    return [sentence for source in sources for sentence in standing_alone(source)][:_MAX_SENTENCES_SCORED]


def extract(question: str, found: Sequence[Extracted], cosines: Sequence[float] | None) -> list[Extracted]:
    """Up to four of `found`, grouped by source in reading order. `cosines`: each sentence's similarity to the question."""
    if not found:
        return []
    asked = terms(question)
    overlap = [len(asked & terms(sentence.text)) / max(len(asked), 1) for sentence in found]
    near = overlap if cosines is None else cosines
    scored = sorted(
        (
            ((share + close) / 2 * (1 - _SOURCE_DISCOUNT * (sentence.n - 1)), sentence)
            for share, close, sentence in zip(overlap, near, found, strict=True)
        ),
        key=lambda pair: -pair[0],
    )
    best = scored[0][0]
    chosen: list[Extracted] = []
    for score, sentence in scored:
        if score <= 0 or score < best * _KEEP_SHARE_OF_BEST or len(chosen) == _MAX_SENTENCES:
            break
        if not any(_alike(sentence.text, other.text) for other in chosen):
            chosen.append(sentence)
    first_place = {sentence.n: place for place, sentence in reversed(list(enumerate(chosen)))}
    return sorted(chosen, key=lambda sentence: (first_place[sentence.n], sentence.position))


class ExtractiveWriter:
    """Writes the chosen sentences, each with its source's number."""

    label = LABEL

    def __init__(self, embed: Embed | None) -> None:
        self._embed = embed

    async def write(self, question: str, sources: Sequence[Source]) -> AsyncIterator[Claim]:
        found = candidates(sources)
        cosines = None
        if self._embed is not None and found:
            asked, *vectors = await self._embed(question, [sentence.text for sentence in found])
            cosines = [float(vector @ asked) for vector in vectors]
        for sentence in extract(question, found, cosines):
            # A footnote's mark inside the quote would read as a citation of ours.
            yield Claim(f"{_FOOTNOTE.sub('', sentence.text)} [{sentence.n}] ", (sentence.n,))


def _alike(one: str, other: str) -> bool:
    a, b = terms(one), terms(other)
    return len(a & b) >= _SAME * max(1, min(len(a), len(b)))
