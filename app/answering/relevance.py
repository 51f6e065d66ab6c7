"""Chooses the piece that answers with a cross-encoder, where matching the words of the question finds none.

Matching words misses an answer in other words. A cross-encoder reads the question and a piece together and was trained to
recognise passages that answer a question. It also gives high scores to texts that are merely similar to an answer. So a piece
must also pass tests by words (names, numbers, the type of answer) and two tests with the model itself. All thresholds are here;
the measurements behind them are in docs/decisions/0014-cross-encoder.md.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Final, Protocol

from app.answering import conflict
from app.answering.answer_type import fits_answer_type
from app.answering.evidence import Coverage
from app.answering.extract import (
    ScoredPiece,
    coverage_of_piece,
    narrowed,
    other_versions,
    pieces_by_words,
    question_for_each_source,
    without_word,
)
from app.answering.numbers import numbers_in
from app.answering.prompt import PromptSource
from app.answering.question import Question, Term
from app.answering.quotable import Quotable
from app.errors import ModelUnavailable

MOST_PASSAGES: Final = 3
MOST_PIECES: Final = 5  # in each passage; the 15 pairs in all take 90 to 115 ms of one core
MIN_SCORE: Final = 4.5  # a logit; the decision has a table of other values
MIN_SCORE_ALONE: Final = 2.0  # for a piece that stands out from all others
MIN_MARGIN: Final = 3.0  # by which such a piece must exceed all others
MIN_RISE: Final = 6.0  # over the score of title and headings alone; with less, they match the question and not the piece
# The most by which the score may rise when a word that the piece lacks is left out of the question. If it rises by more, the word
# means another thing than the piece (parental, bicycle).
MAX_GAIN_WITHOUT_WORD: Final = 1.5


class RelevanceModel(Protocol):
    """A cross-encoder: `scores` returns a logit for how well each text answers the question. `reads` is
    False for a text in another language."""

    def reads(self, text: str) -> bool: ...

    async def scores(self, question: str, texts: Sequence[str]) -> list[float]: ...


@dataclass(frozen=True, slots=True)
class _Scored:
    """A piece, its coverage of the question, the text that the model read for it, and the model's score."""

    piece: Quotable
    held: Coverage
    text: str
    score: float


async def relevant_pieces(question: Question, sources: Sequence[PromptSource], model: RelevanceModel) -> list[ScoredPiece]:
    """The piece that answers, followed by the corresponding pieces of other versions of its document;
    empty when no piece is certain enough."""
    asked = question.search
    if question.language != "en" or not model.reads(asked):
        return []
    try:
        scored = await _scored(question, sources, model)
        able = [one for one in scored if _may_answer(question, one)]
        if not able or not await _is_sure(asked, able[0], scored, model):
            return []
    except ModelUnavailable:
        return []
    found = [ScoredPiece(one.piece, one.held, one.score, weak=one.score < MIN_SCORE, whole=True) for one in able]
    best = replace(found[0], weak=False)
    return [best, *other_versions(question, [best], found, {source.n: source for source in sources})]


async def most_relevant(question: Question, sources: Sequence[PromptSource], model: RelevanceModel) -> dict[int, Quotable]:
    """The piece most like an answer in each of the best sources, by source number, best first; empty
    when the model cannot read the question."""
    if not model.reads(question.search):
        return {}
    best = dict[int, Quotable]()
    with suppress(ModelUnavailable):
        for one in await _scored(question, sources, model):
            best.setdefault(one.piece.n, one.piece)
    return best


async def _scored(question: Question, sources: Sequence[PromptSource], model: RelevanceModel) -> list[_Scored]:
    """The scored pieces of the best sources, best first."""
    asked_of = question_for_each_source(question, sources)
    pieces = [
        (piece, source.title) for source in sources[:MOST_PASSAGES] for piece in pieces_by_words(question, source, MOST_PIECES)
    ]
    pieces = [(piece, title) for piece, title in pieces if model.reads(piece.text)]
    texts = [text_with_context(piece, title) for piece, title in pieces]
    scores = await model.scores(question.search, texts)
    found = [
        _Scored(piece, coverage_of_piece(asked_of[piece.n], piece), text, score)
        for (piece, _), text, score in zip(pieces, texts, scores, strict=True)
    ]
    return sorted(found, key=lambda one: -one.score)


def text_with_context(piece: Quotable, title: str) -> str:
    """The text that the model reads for a piece: its title and headings, the sentence that it continues, and the piece."""
    above = context_of(piece, title)
    return f"{above} {piece.text}" if above else piece.text


def context_of(piece: Quotable, title: str) -> str:
    """The context of a piece, without a table's head, which each cell repeats, and without lines that the piece contains."""
    lines = [line.strip(" :：") for line in piece.context.split("\n") if line.strip()]
    if piece.cells:
        lines = lines[:-1]
    lines = [*([] if title in lines else [title]), *lines, piece.defines]
    said = [line for line in dict.fromkeys(lines) if line and line not in piece.text]
    return " ".join(filter(None, [f"{'. '.join(said)}." if said else "", piece.before]))


def _may_answer(question: Question, one: _Scored) -> bool:
    """Whether a piece passes the tests by words: it lacks no name and no number of the question, has one of its words
    itself, and contains the type of answer."""
    held = one.held
    lacks_number = any(numbers_in(term.text) for term in held.missing)
    lacks_name = any(_ends_a_name(question, term) for term in held.missing)
    if held.refused or not held.own or lacks_number or lacks_name:
        return False
    return fits_answer_type(question, narrowed(question, one.piece))


def _ends_a_name(question: Question, term: Term) -> bool:
    """Whether the term directly follows a capitalised word and so is part of a name: the Saltmarsh
    orchestra is not the Saltmarsh choir."""
    return re.search(rf"(?<=\s)[A-Z][\w'&-]+ +{re.escape(term.text)}\b", question.text) is not None


async def _is_sure(asked: str, best: _Scored, scored: Sequence[_Scored], model: RelevanceModel) -> bool:
    """Whether the best piece is certain enough to be the answer, and not merely similar to one."""
    others = [one.score for one in scored if not conflict.is_same_statement(one.piece.text, best.piece.text)]
    stands_out = best.score >= MIN_SCORE_ALONE and best.score - max(others, default=-MIN_SCORE) >= MIN_MARGIN
    if best.score < MIN_SCORE and not stands_out:
        return False
    above = best.text.removesuffix(best.piece.text).strip()
    if above and best.score - (await model.scores(asked, [above]))[0] < MIN_RISE:
        return False
    for term in best.held.missing:
        if (await model.scores(without_word(asked, term.text), [best.text]))[0] - best.score > MAX_GAIN_WITHOUT_WORD:
            return False
    return True
