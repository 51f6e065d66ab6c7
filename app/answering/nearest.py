"""The nearest sentences, shown when nothing answers: from each of the best passages the one most similar to the question. Nothing
checks whether they answer it, and the answer says so."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from app.answering.extract import MeaningModel, pieces_by_words, text_for_embedding
from app.answering.prompt import PromptSource
from app.answering.question import Question
from app.answering.quotable import Quotable
from app.answering.relevance import MOST_PASSAGES, RelevanceModel, most_relevant
from app.errors import ModelUnavailable

_MOST_PIECES: Final = 8  # pieces of a passage that are compared by meaning; 24 in all take 60 ms of one core with MiniLM


@dataclass(frozen=True, slots=True)
class NearestSentence:
    """A sentence, row or list item of source `n`."""

    n: int
    quote: str


async def nearest(
    question: Question, sources: Sequence[PromptSource], meaning: MeaningModel | None, relevance: RelevanceModel | None = None
) -> list[NearestSentence]:
    """One piece from each of the best sources: chosen by a cross-encoder or by meaning if a model can read
    the question, otherwise by shared words."""
    if relevance is not None and (relevant := await most_relevant(question, sources, relevance)):
        return [NearestSentence(n, piece.text) for n, piece in relevant.items()]
    by_words = [pieces for source in sources[:MOST_PASSAGES] if (pieces := pieces_by_words(question, source, _MOST_PIECES))]
    likeness = await _likeness(question, [piece for pieces in by_words for piece in pieces], meaning)
    best = (max(pieces, key=lambda one: likeness.get(one.text, 0.0)) for pieces in by_words)
    return [NearestSentence(piece.n, piece.text) for piece in best]


async def _likeness(question: Question, pieces: Sequence[Quotable], meaning: MeaningModel | None) -> dict[str, float]:
    """The cosine of question and piece, by the piece's text; empty without a usable model, so that the order by words stays."""
    if meaning is None or not meaning.reads(question.search):
        return {}
    read = [piece for piece in pieces if meaning.reads(piece.text)]
    try:
        asked, *vectors = await meaning.vectors([question.search, *map(text_for_embedding, read)])
    except ModelUnavailable:
        return {}
    return {piece.text: float(np.dot(asked, vector)) for piece, vector in zip(read, vectors, strict=True)}
