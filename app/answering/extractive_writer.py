"""The writer without a language model: it quotes the pieces of the sources that answer, word for word and with citations."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Iterator, Sequence
from typing import Final

from app.answering import conflict, listing
from app.answering.attribution import Claim
from app.answering.extract import (
    EXPLAINS,
    WANTS_HEADING,
    MeaningModel,
    ScoredPiece,
    extract_pieces,
    holds_any,
    narrowed,
    select_pieces,
)
from app.answering.prompt import PromptSource
from app.answering.question import Question, term_coverage, words_of
from app.answering.relevance import RelevanceModel, confirms, relevant_pieces

LABEL: Final = "Extracted word for word from the sources; no language model wrote this."

_FOOTNOTE: Final = re.compile(r"\s?\[\d{1,3}\]")


class ExtractiveWriter:
    """Writes answers as quoted pieces, each with the number of its source."""

    label = LABEL

    def __init__(self, meaning: MeaningModel | None, relevance: RelevanceModel | None = None) -> None:
        self._meaning = meaning
        self._relevance = relevance

    async def write(self, question: Question, sources: Sequence[PromptSource], best_cosine: float | None) -> AsyncIterator[Claim]:
        """The quoted pieces as claims. `best_cosine` is not used, because each piece must pass its own thresholds."""
        kept = select_pieces(question, await extract_pieces(question, sources, self._meaning), sources)
        if self._relevance is not None and not (kept and await confirms(question, kept, sources, self._relevance)):
            kept = await relevant_pieces(question, sources, self._relevance)
        by_number = {source.n: source for source in sources}
        said = [conflict.Statement(text, one.piece.text, by_number[one.piece.n]) for one, text in _told(question, kept)]
        # The parts of an explanation complement each other, so they are not compared for contradictions.
        explains = EXPLAINS.match(question.text) is not None
        for text, n in ((one.text, one.source.n) for one in said) if explains else conflict.conflicts_together(said):
            yield Claim(f"{text} [{n}] ", (n,), conflicting=text.startswith(conflict.MARKS))


def _told(question: Question, kept: Sequence[ScoredPiece]) -> Iterator[tuple[ScoredPiece, str]]:
    """Each piece with its text in the answer. Context that several pieces of one passage share is
    written before the first of them only."""
    above: tuple[int, str] | None = None
    for one in kept:
        text = listing.shorten_record(question, one.piece) if one.listed and one.piece.cells else _quoted(question, one)
        before = (one.piece.n, _named(question, one))
        yield one, f"{before[1]}{text}" if before != above else text
        above = before


def _quoted(question: Question, one: ScoredPiece) -> str:
    """The quoted text without footnote marks, which would look like the service's citations."""
    return _FOOTNOTE.sub("", one.piece.text if one.whole else narrowed(question, one.piece))


def _named(question: Question, one: ScoredPiece) -> str:
    """The text before a quote: who wrote it (in e-mails), the lines of its context that contain missing terms of the question,
    and the heading if the question asks for it."""
    piece = one.piece
    if piece.earlier:
        return f"{' '.join(piece.earlier.split())} "
    own, text = words_of(piece.text), _quoted(question, one)
    outside = [term for term in question.asked if term.kind != "kind" and not term_coverage(term, own, tongue=question.language)]
    lines = [line for line in piece.context.split("\n")[1:] if holds_any(outside, words_of(line), question.language)]
    lines = [line.rstrip(":：") for line in lines if len(line) <= 80 and not line.startswith(text[:8])]
    if WANTS_HEADING.search(question.text) and piece.heading not in lines:
        lines.append(piece.heading)
    named = [line for line in lines if line not in text]
    return f"{': '.join(_FOOTNOTE.sub('', line) for line in named)}: " if named and piece.heading else ""
