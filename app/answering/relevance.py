"""Which piece a cross-encoder takes for the answer, where the words of the question show none.

Words alone miss an answer that is said in other words. A cross-encoder reads the question and a piece together, and was trained to tell passages
that answer a question. It scores a near neighbour of the answer high too, so that a piece must pass what words can tell as well: names,
numbers, the kind of answer, and two tests with the model itself. Every threshold is here; docs/decisions/0014-cross-encoder.md has the tables.
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
MOST_PIECES: Final = 5  # of a passage: 15 pairs in all take 0.1 to 0.2 s of one core, long rows up to 1 s
MIN_SCORE: Final = 4.5  # a logit; the table in the decision has others
MIN_SCORE_ALONE: Final = 2.0  # of a piece that stands out from every other one
MIN_MARGIN: Final = 3.0  # by which it then must, and by which a piece has to be behind to be no rival with another number
MIN_RISE: Final = 6.0  # over the title and headings without the piece: otherwise it is they that match the question
# Without one word that the piece lacks, the question may come nearer to it by so much. By more, the word names another thing (parental, bicycle).
MAX_GAIN_WITHOUT_WORD: Final = 1.5
MOST_MISSING: Final = (
    6  # words of the question: each costs a call of the model, 10 to 65 ms, and with more the piece is about something else
)

# A model scores "is refunded" and "is not refunded" alike, and these little words are no terms of a question: the two must agree on them.
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
    """A cross-encoder: how well each text answers a question, as logits. `reads` is false for a question or text in another language."""

    def reads(self, text: str) -> bool: ...

    async def scores(self, question: str, texts: Sequence[str]) -> list[float]: ...


@dataclass(frozen=True, slots=True)
class _Scored:
    """A piece, what it holds of the question, and the text that the model read with its score."""

    piece: Quotable
    held: Coverage
    text: str
    score: float


async def relevant_pieces(question: Question, sources: Sequence[PromptSource], model: RelevanceModel) -> list[ScoredPiece]:
    """The piece that answers, and what other versions of its document say instead; nothing when none is sure enough."""
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
    """Of each of the best sources the piece most like an answer, the best source first; empty where the model cannot read."""
    if not model.reads(question.search):
        return {}
    best = dict[int, Quotable]()
    with suppress(ModelUnavailable):
        for one in await _scored(question, sources, model):
            best.setdefault(one.piece.n, one.piece)
    return best


async def _scored(question: Question, sources: Sequence[PromptSource], model: RelevanceModel) -> list[_Scored]:
    """Every piece that is looked at, best first."""
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
    """A piece as the model reads it: below its title and headings, after the sentence that it goes on from."""
    above = context_of(piece, title)
    return f"{above} {piece.text}" if above else piece.text


def context_of(piece: Quotable, title: str) -> str:
    """What stands above a piece, without the head of a table, which each cell repeats, and without what the piece says itself."""
    lines = [line.strip(" :：") for line in piece.context.split("\n") if line.strip()]
    if piece.cells:
        lines = lines[:-1]
    lines = [*([] if title in lines else [title]), *lines, piece.defines]
    said = [line for line in dict.fromkeys(lines) if line and line not in piece.text]
    return " ".join(filter(None, [f"{'. '.join(said)}." if said else "", piece.before]))


def _may_answer(question: Question, one: _Scored) -> bool:
    """Whether words allow it: every name and number of the question is there, one of its words in the piece itself, and the kind of answer."""
    held = one.held
    lacks_number = any(numbers_in(term.text) for term in held.missing)
    lacks_name = any(_ends_a_name(question, term) for term in held.missing)
    if held.refused or not held.own or lacks_number or lacks_name or len(held.missing) > MOST_MISSING:
        return False
    if one.piece.leads or not _agree(question.text, f"{one.piece.before} {one.piece.text}"):
        return False
    return fits_answer_type(question, narrowed(question, one.piece))


def _newest(able: Sequence[_Scored], scored: Sequence[_Scored], sources: Sequence[PromptSource]) -> list[_Scored]:
    """Without what an e-mail quotes of those before it, where a sentence of its own comes near as well."""
    document = {source.n: source.document for source in sources}
    own = {document[one.piece.n] for one in scored if not one.piece.earlier and one.score >= MIN_SCORE_ALONE}
    return [one for one in able if not one.piece.earlier or document[one.piece.n] not in own]


def _has_rival(able: Sequence[_Scored], sources: Sequence[PromptSource]) -> bool:
    """Whether another document, which is no other version of the same one, answers nearly as well with another number."""
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
    """Whether a text denies nothing else than the question does, and does not tell of its opposite in time or measure."""
    if _NEGATION.search(question) and not _NEGATION.search(text):
        return False
    asked, told = set(re.findall(r"[a-z]+", question.lower())), set(re.findall(r"[a-z]+", text.lower()))
    return not any(
        (one in asked and one not in told and other in told) or (other in asked and other not in told and one in told)
        for one, other in _OPPOSITES
    )


def _ends_a_name(question: Question, term: Term) -> bool:
    """Whether a word stands right after a capital one: the Saltmarsh orchestra is not the Saltmarsh choir."""
    return re.search(rf"(?<=\s)[A-Z][\w'&-]+ +{re.escape(term.text)}\b", question.text) is not None


async def _is_sure(asked: str, best: _Scored, scored: Sequence[_Scored], model: RelevanceModel) -> bool:
    """Whether the best piece is the answer and no neighbour of it."""
    others = [one.score for one in scored if not conflict.is_same_statement(one.piece.text, best.piece.text)]
    margin = best.score - max(others, default=-MIN_SCORE)
    # One sentence about the subject is no answer to "Are dogs allowed?", however far it is from all others.
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
