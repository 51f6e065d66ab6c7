"""Checks with a cross-encoder the piece that words chose, and chooses the piece that answers where words find none.

Matching words takes a sentence about something else that shares them, and misses an answer in other words. A cross-encoder
reads the question and a piece together and was trained to recognise passages that answer a question. It also gives high scores
to texts that are merely similar to an answer. So a piece that it chooses must also pass tests by words (names, numbers, the
type of answer) and two tests with the model itself. All thresholds are here; the measurements behind them are in
docs/decisions/0014-cross-encoder.md.
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
    EXPLAINS,
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
MOST_PIECES: Final = 5  # in each passage; the 15 pairs in all take 0.1 to 0.2 s of one core, long rows up to 1 s
MIN_SCORE: Final = 4.5  # a logit; the decision has a table of other values
MIN_SCORE_ALONE: Final = 2.0  # for a piece that stands out from all others
# By how much such a piece must exceed all others. A piece with another number that is behind by more than this is no rival.
MIN_MARGIN: Final = 3.0
MIN_RISE: Final = 6.0  # over the score of title and headings alone; with less, they match the question and not the piece
# What words chose and the model scores lower only shares words with the question. The lowest of 130 answers: -4.7 for a sentence,
# -6.4 for a row or a line of key and value, which is no prose as the model was trained on; not an answer: -6.3 and -9.9.
MIN_SCORE_OF_SENTENCE: Final = -5.5
MIN_SCORE_OF_ROW: Final = -8.0
# The most by which the score may rise when a word that the piece lacks is left out of the question. If it rises by more, the word
# means another thing than the piece (parental, bicycle).
MAX_GAIN_WITHOUT_WORD: Final = 1.5
# The most words of the question that a piece may lack: each costs a call of the model, 10 to 65 ms, and a piece
# that lacks more is about something else.
MOST_MISSING: Final = 6

# A model gives "is refunded" and "is not refunded" similar scores, and these small words are not terms of a question. So it is
# checked separately that question and piece agree on them.
_NEGATION: Final = re.compile(
    r"\b(?:not|never|no|none|nobody|nothing|neither|without|except|unless|cannot)\b|n['’]t\b|\b(?:other|apart|aside) (?:than|from)\b",
    re.IGNORECASE,
)
_OPPOSITES: Final = (
    ("before", "after"),
    ("above", "below"),
    ("over", "under"),
    ("more", "less"),
    ("since", "until"),
    ("from", "until"),
)
_YES_OR_NO: Final = re.compile(
    r"\A\W*(?:is|are|was|were|do|does|did|can|could|may|might|must|shall|should|will|would|has|have|had)\b", re.IGNORECASE
)
_TWO_QUESTIONS: Final = re.compile(
    r"\b(?:and|or)\b\W+(?:\w+\W+){0,2}?(?:who|whom|what|when|where|how|which|why)\b", re.IGNORECASE
)


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


async def confirms(
    question: Question, kept: Sequence[ScoredPiece], sources: Sequence[PromptSource], model: RelevanceModel
) -> bool:
    """Whether the model has nothing against the best of the pieces that words chose. It must not look unrelated to the question.
    If it lacks one of the question's words, or holds none itself, it must bring the question nearer than its title and headings
    do. Lists and explanations are not checked: no single piece of them answers."""
    best = max(kept, key=lambda one: one.score)
    piece, asked = best.piece, question.search
    if question.language != "en" or best.listed or EXPLAINS.match(question.text):
        return True
    if not (model.reads(asked) and model.reads(piece.text)):
        return True
    title = next(source.title for source in sources if source.n == piece.n)
    partly = bool(best.held.missing) or not best.held.own
    above = context_of(piece, title) if partly else ""
    try:
        score, *context = await model.scores(asked, [text_with_context(piece, title), *filter(None, [above])])
    except ModelUnavailable:
        return True
    if score < (MIN_SCORE_OF_SENTENCE if piece.text.endswith((".", "!", "?")) else MIN_SCORE_OF_ROW):
        return False
    return all(score - alone >= MIN_RISE for alone in context)


async def relevant_pieces(question: Question, sources: Sequence[PromptSource], model: RelevanceModel) -> list[ScoredPiece]:
    """The piece that answers, followed by the corresponding pieces of other versions of its document;
    empty when no piece is certain enough."""
    asked = question.search
    if question.language != "en" or not model.reads(asked) or _TWO_QUESTIONS.search(asked):
        return []
    try:
        scored = await _scored(question, sources, model)
        able = _newest([one for one in scored if _may_answer(question, one)], scored, sources)
        if not able or _has_rival(able, sources) or not await _is_sure(asked, able[0], scored, model):
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
    if held.refused or not held.own or lacks_number or lacks_name or len(held.missing) > MOST_MISSING:
        return False
    if one.piece.leads or not _agree(question.text, f"{one.piece.before} {one.piece.text}"):
        return False
    return fits_answer_type(question, narrowed(question, one.piece))


def _newest(able: Sequence[_Scored], scored: Sequence[_Scored], sources: Sequence[PromptSource]) -> list[_Scored]:
    """The candidates without those that an e-mail only quotes from an earlier one, if a sentence of the e-mail's own
    has a score near enough to an answer's."""
    document = {source.n: source.document for source in sources}
    own = {document[one.piece.n] for one in scored if not one.piece.earlier and one.score >= MIN_SCORE_ALONE}
    return [one for one in able if not one.piece.earlier or document[one.piece.n] not in own]


def _has_rival(able: Sequence[_Scored], sources: Sequence[PromptSource]) -> bool:
    """Whether a different document, not another version of the same one, answers nearly as well but with another number."""
    by_number = {source.n: source for source in sources}
    best = able[0]
    mine, said = by_number[best.piece.n], numbers_in(best.piece.text)
    return any(
        one.score >= MIN_SCORE
        and best.score - one.score < MIN_MARGIN
        and by_number[one.piece.n].document != mine.document
        and not conflict.versions(mine, by_number[one.piece.n])
        and numbers_in(one.piece.text) != said
        for one in able[1:]
    )


def _agree(question: str, text: str) -> bool:
    """Whether a text can answer the question by its negations and opposites: a negated question needs a negation in the text, and
    the text must not have "after" instead of "before" or the like."""
    if _NEGATION.search(question) and not _NEGATION.search(text):
        return False
    asked, told = set(re.findall(r"[a-z]+", question.lower())), set(re.findall(r"[a-z]+", text.lower()))
    return not any(
        (one in asked and one not in told and other in told) or (other in asked and other not in told and one in told)
        for one, other in _OPPOSITES
    )


def _ends_a_name(question: Question, term: Term) -> bool:
    """Whether the term directly follows a capitalised word and so is part of a name: the Saltmarsh
    orchestra is not the Saltmarsh choir."""
    return re.search(rf"(?<=\s)[A-Z][\w'&-]+ +{re.escape(term.text)}\b", question.text) is not None


async def _is_sure(asked: str, best: _Scored, scored: Sequence[_Scored], model: RelevanceModel) -> bool:
    """Whether the best piece is certain enough to be the answer, and not merely similar to one."""
    others = [one.score for one in scored if not conflict.is_same_statement(one.piece.text, best.piece.text)]
    margin = best.score - max(others, default=-MIN_SCORE)
    # For a yes-or-no question ("Are dogs allowed?") a single sentence about the subject stands out too, but is no answer.
    stands_out = best.score >= MIN_SCORE_ALONE and margin >= MIN_MARGIN and not _YES_OR_NO.match(asked)
    if best.score < MIN_SCORE and not stands_out:
        return False
    above = best.text.removesuffix(best.piece.text).strip()
    if above and best.score - (await model.scores(asked, [above]))[0] < MIN_RISE:
        return False
    for term in best.held.missing:
        if (await model.scores(without_word(asked, term.text), [best.text]))[0] - best.score > MAX_GAIN_WITHOUT_WORD:
            return False
    return True
