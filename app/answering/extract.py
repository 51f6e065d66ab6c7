"""Chooses the pieces of the sources that answer the question, to be quoted as its answer."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Protocol

import numpy as np

from app.answering import conflict, evidence, listing
from app.answering.answer_type import fits_answer_type
from app.answering.evidence import Coverage
from app.answering.mail import is_mail, is_mail_head
from app.answering.numbers import numbers_in
from app.answering.prompt import PromptSource
from app.answering.question import Question, Term, TextTerms, question_for_document, term_coverage, words_of
from app.answering.quotable import Quotable, candidates, records
from app.answering.rows import narrow_row
from app.models.port import Vector

_MOST_EMBEDDED: Final = 16  # pieces, chosen by words; with shortened questions about 40 ms of one core with MiniLM
_MOST_QUOTED: Final = 4
_CASELESS: Final = ("", "ar", "he", "hi")  # languages without capital letters to mark names, where every word counts
_LACKING: Final = 0.1  # share of the question; less than one character of a short run
_MOST_VERSIONS: Final = 2  # other versions of the document that are quoted
_KEEP_SHARE_OF_BEST: Final = 0.85  # a piece with a much lower score than the best is about something else
_KEEP_SHARE_EXPLAINING: Final = 0.78
_SOURCE_DISCOUNT: Final = 0.03  # per rank of the passage, so that of equal pieces the one in the better passage wins
_OWN: Final = 0.5  # weight of what the piece covers itself, added to what it covers with its context
_NUMBER: Final = 0.15  # bonus of a piece with a number as an answer to "how many"
_TOPIC: Final = 0.3
_INSTRUCTS: Final = 0.15
_INSTRUCTION: Final = re.compile(
    r"\A(?:to|first|then|next|in order to|use|call|give|set|add|make|create|run|define|pass|put|write|store|import|include|specify|open|press|turn|click|"
    r"choose|select|install|start|enter|send)\b|\byou(?:'ll| will)? (?:can|may|should|must|need|have|do|create|use|add|refine|call)\b|\bmust\b|, use\b",
    re.IGNORECASE,
)
_NEGATED: Final = re.compile(r"n['’]t\b|\b(?:not|never|without)\b", re.IGNORECASE)
_ASIDE: Final = ("Note ", "In addition", "For more", "Information on", "For example", "However", "If, ", "If for ")
# Questions for the place where something is written; the heading above it answers them.
WANTS_HEADING: Final = re.compile(
    r"\b(?:which|what|welche[rmsn]?|quelle|qué|какой|какая) (?:version|release|section|chapter|article|slide|Abschnitt|Kapitel|versión|sección|chapitre|версии|версия|раздел)",
    re.IGNORECASE,
)
_MOST_EXPLAINING: Final = 3  # passages
EXPLAINS: Final = re.compile(
    r"\A\W*+(?:how (?:do|does|can|could|should|to|is|are|would)\b|why\b|explain\b|describe\b|what (?:is|are) the differences?\b)",
    re.IGNORECASE,
)
_WANTS_NUMBER: Final = re.compile(
    r"\bhow (?:many|much|long|old|far|often|tall|high|big|deep|heavy|wide|fast|large|soon)\b|\bwhen\b|\bwhat (?:time|date|year|number|code)\b"
    r"|\bwie(?:viele?| viele?| lange| alt| weit| oft| hoch| groß| schwer)\b|\bwann\b|\bcombien\b|\bquand\b|\bcu[áa]nt|\bcu[áa]ndo\b"
    r"|\bquant[oaie]\b|\bquando\b|сколько|когда|كم|متى|多少|几|幾|多久|多长|何[時日年月人円回]|いくつ|いくら|いつ|얼마|몇|언제|กี่|เท่าไ|เมื่อไ",
    re.IGNORECASE,
)


class MeaningModel(Protocol):
    """An embedding model. `reads`: whether it can read the script of a text."""

    def reads(self, text: str) -> bool: ...

    async def vectors(self, texts: Sequence[str]) -> list[Vector]: ...


@dataclass(frozen=True, slots=True)
class ScoredPiece:
    """A piece that may be quoted, with its score."""

    piece: Quotable
    held: Coverage
    score: float
    weak: bool = False  # not enough alone; only quoted beside a better piece, as another version's statement
    listed: bool = False  # one line of a list that is quoted completely
    whole: bool = False  # a row quoted with all cells, because the question's words do not show which one is meant


async def extract_pieces(question: Question, sources: Sequence[PromptSource], meaning: MeaningModel | None) -> list[ScoredPiece]:
    """The pieces that answer, best first. Each must pass the thresholds by itself: a good
    passage does not help the pieces in it."""
    explains = EXPLAINS.match(question.text) is not None
    pieces, for_source = candidates(sources), question_for_each_source(question, sources)
    wants_heading = WANTS_HEADING.search(question.text) is not None
    mails = {source.n for source in sources if is_mail(source)}
    weighed = [
        (piece, coverage_of_piece(for_source[piece.n], piece))
        for piece in pieces
        if not (piece.loose if explains else piece.leads)
    ]
    likely = [
        (piece, found)
        for piece, found in weighed
        if not found.refused
        and found.covered >= evidence.MIN_SHARE_WITH_MEANING
        and not (piece.loose and found.missing)
        and not (found.own == 0 and piece.n in mails and is_mail_head(piece.text))
        and fits_answer_type(question, f"{piece.text} {piece.heading}" if wants_heading else narrowed(question, piece))
    ]
    likely.sort(key=lambda one: -(one[1].covered + _OWN * one[1].own))
    similarities, gains = await _meaning(question, likely[:_MOST_EMBEDDED], meaning)
    wants_number = _WANTS_NUMBER.search(question.text) is not None
    columns = words_of("\n".join(head for piece, _ in weighed for head, _ in piece.cells))
    accepted: list[ScoredPiece] = []
    for place, (piece, found) in enumerate(likely):
        similarity = similarities.get(place)
        more = gains.get(place, ())
        as_row = bool(piece.cells) and question.language not in _CASELESS and evidence.answers_as_row(found, more)
        as_row = as_row and not holds_any(found.missing, columns, question.language)  # then it means another table's column
        weak = not evidence.may_be_quoted(found, similarity, more) and not as_row
        score = found.covered + _OWN * found.own + (similarity or 0.0)
        score += _NUMBER * bool(wants_number and numbers_in(piece.text))
        score += _explaining(question, piece) if explains else 0.0
        accepted.append(ScoredPiece(piece, found, score * (1 - _SOURCE_DISCOUNT * (piece.n - 1)), weak))
    if all(one.weak for one in accepted):
        accepted = []
    if not accepted and explains and not any(term.kind == "exact" for term in question.asked):
        accepted = await _explained(question, sources, meaning)
    if not accepted and not explains:
        accepted = list(_recorded(question, sources)) or list(_listed(question, sources))
    return sorted(_latest(accepted, sources), key=lambda one: -one.score)


def _latest(found: Sequence[ScoredPiece], sources: Sequence[PromptSource]) -> list[ScoredPiece]:
    """The pieces without those that an e-mail only quotes from an earlier one, if the e-mail's own words answer too."""
    document = {source.n: source.document for source in sources}
    own = {document[one.piece.n] for one in found if not one.weak and not one.piece.earlier}
    return [one for one in found if not one.piece.earlier or document[one.piece.n] not in own]


def coverage_of_piece(question: Question, piece: Quotable) -> Coverage:
    """How much of the question a piece covers, together with the headings and other context above it."""
    own = f"{piece.defines}\n{piece.text}" if piece.defines else piece.text
    cells = [value for _, value in piece.cells]
    return evidence.coverage_of(question, own, f"{piece.context}\n{piece.before}", piece.lead, piece.head, cells)


def question_for_each_source(question: Question, sources: Sequence[PromptSource]) -> dict[int, Question]:
    """The question adapted to the document of each source (`question_for_document`), by source number."""
    texts = dict[str, list[str]]()
    for source in sources:
        texts.setdefault(source.document, []).append(f"{source.title}\n{source.text}")
    asked = {document: question_for_document(question, words_of("\n".join(told))) for document, told in texts.items()}
    return {source.n: asked[source.document] for source in sources}


def _listed(question: Question, sources: Sequence[PromptSource]) -> Iterator[ScoredPiece]:
    """Every line of a list that answers, or none when there are more than MOST_LISTED."""
    for found in (list(listing.under_heading(question, sources)), list(listing.with_value(question, sources))):
        if 0 < len(found) <= listing.MOST_LISTED:
            yield from (ScoredPiece(piece, held, 1.0, listed=True) for piece, held in found)
            return


def _recorded(question: Question, sources: Sequence[PromptSource]) -> Iterator[ScoredPiece]:
    """Records (rows of keys and values) that answer as a whole and whose first line names what the question asks about."""
    for piece in records(sources):
        found = evidence.coverage_of(question, piece.text, piece.context, piece.lead, piece.head)
        named = words_of(piece.cells[0][1]).folded <= words_of(question.text).folded
        if named and evidence.answers_as_row(found, ()) and fits_answer_type(question, narrowed(question, piece)):
            yield ScoredPiece(piece, found, found.covered + _OWN * found.own)


def _explaining(question: Question, piece: Quotable) -> float:
    """The bonus of a piece as an explanation: for a heading above it that names what was asked, and for an instruction in it."""
    topic = max((asked_in(question, line) for line in piece.context.split("\n")), default=0.0) / max(1, len(question.asked))
    score = _TOPIC * topic + _INSTRUCTS * (_INSTRUCTION.search(piece.text) is not None)
    return score - _INSTRUCTS * (piece.text.startswith(_ASIDE) or _NEGATED.search(piece.text) is not None)


async def _explained(question: Question, sources: Sequence[PromptSource], meaning: MeaningModel | None) -> list[ScoredPiece]:
    """The sentences that together give an explanation: those nearest to the question in passages that cover all of it."""
    whole = [source for source in sources if evidence.coverage_of(question, source.text, source.title).covered > evidence.ALL]
    near: list[tuple[Quotable, Coverage]] = []
    for source in whole[:_MOST_EXPLAINING]:
        weighed = [
            (piece, evidence.coverage_of(question, piece.text, f"{source.title}\n{source.text}"))
            for piece in candidates([source])
        ]
        near += [(piece, found) for piece, found in weighed if found.own > 0 and not found.refused and not piece.loose]
    near = sorted(near, key=lambda one: -one[1].own)[:_MOST_EMBEDDED]
    similarities, _ = await _meaning(question, near, meaning)
    return [
        ScoredPiece(piece, found, found.own + similarities[place])
        for place, (piece, found) in enumerate(near)
        if similarities.get(place, 0.0) >= evidence.MIN_SIMILARITY_EXPLAINING
    ]


async def _meaning(
    question: Question, likely: Sequence[tuple[Quotable, Coverage]], meaning: MeaningModel | None
) -> tuple[dict[int, float], dict[int, list[float]]]:
    """(similarities, gains), both by position in `likely` and only for pieces that the model can read: the cosine of question and
    piece, and for each missing word how much lower the cosine is without it in the question."""
    if meaning is None or question.language != "en" or not meaning.reads(question.search):
        return {}, {}
    read = [place for place, (piece, _) in enumerate(likely) if meaning.reads(piece.text)]
    if not read:
        return {}, {}
    missing = {term.folded: term for place in read for term in likely[place][1].missing}
    texts = [question.search, *(without_word(question.search, term.text) for term in missing.values())]
    vectors = await meaning.vectors([*texts, *(text_for_embedding(likely[place][0]) for place in read)])
    whole, shortened = vectors[0], dict(zip(missing, vectors[1 : len(texts)], strict=True))
    similarities, gains = dict[int, float](), dict[int, list[float]]()
    for place, vector in zip(read, vectors[len(texts) :], strict=True):
        similarities[place] = float(np.dot(whole, vector))
        gains[place] = [similarities[place] - float(np.dot(shortened[term.folded], vector)) for term in likely[place][1].missing]
    return similarities, gains


def without_word(question: str, word: str) -> str:
    """The question with every occurrence of a word left out."""
    return " ".join(re.sub(rf"(?<!\w){re.escape(word)}(?!\w)", " ", question).split())


def text_for_embedding(piece: Quotable) -> str:
    """The text of a piece that is embedded: with the heading above it, unless the piece contains the heading."""
    above = piece.heading or piece.context.partition("\n")[0]
    return f"{above}. {piece.text}" if above and above not in piece.text else piece.text


def select_pieces(question: Question, found: Sequence[ScoredPiece], sources: Sequence[PromptSource] = ()) -> list[ScoredPiece]:
    """The few pieces that are quoted: those with scores near the best, without repetitions, in reading order
    within a source. An explanation also takes pieces with lower scores. The best piece of each other version
    of the best piece's document is added."""
    if any(one.listed for one in found):
        return list(found)
    every, found = found, [one for one in found if not one.weak]
    # By words alone, a piece that lacks a word of the question is about another thing.
    if question.language != "en" and found and not found[0].held.missing:
        found = [one for one in found if not one.held.missing and one.held.covered > found[0].held.covered - _LACKING]
    kept: list[ScoredPiece] = []
    near = _KEEP_SHARE_EXPLAINING if EXPLAINS.match(question.text) else _KEEP_SHARE_OF_BEST
    for one in found:
        if len(kept) == _MOST_QUOTED or one.score < found[0].score * near:
            break
        if not any(conflict.is_same_statement(one.piece.text, other.piece.text) for other in kept):
            kept.append(one)
    kept += other_versions(question, kept, every, {source.n: source for source in sources})
    first = {one.piece.n: place for place, one in reversed(list(enumerate(kept)))}
    return sorted(kept, key=lambda one: (first[one.piece.n], one.piece.position))


def other_versions(
    question: Question, kept: Sequence[ScoredPiece], found: Sequence[ScoredPiece], by_number: Mapping[int, PromptSource]
) -> list[ScoredPiece]:
    """The best piece of each other version of the first quoted piece's document."""
    if not kept or not by_number:
        return []
    best, said = by_number[kept[0].piece.n], {by_number[one.piece.n].document for one in kept}
    told = _told_in(question, kept[0].piece)
    more: list[ScoredPiece] = []
    for one in found:
        source = by_number[one.piece.n]
        as_much = not one.weak or (bool(told) and told <= _told_in(question, one.piece))
        if source.document not in said and conflict.versions(best, source) and as_much:
            said.add(source.document)
            more.append(one)
    return more[:_MOST_VERSIONS]


def _told_in(question: Question, piece: Quotable) -> frozenset[str]:
    """The terms of the question that the piece itself contains, folded."""
    own = words_of(piece.text)
    return frozenset(
        term.folded
        for term in question.asked
        if term.kind != "kind" and term_coverage(term, own, tongue=question.language) == 1.0
    )


def pieces_by_words(question: Question, source: PromptSource, most: int) -> list[Quotable]:
    """The `most` pieces of a source that cover most of the question, the best first."""

    def held(piece: Quotable) -> float:
        found = evidence.coverage_of(question, piece.text, piece.context)
        return found.covered + found.own

    return sorted((one for one in candidates([source]) if not one.loose), key=held, reverse=True)[:most]


def narrowed(question: Question, piece: Quotable) -> str:
    """The text of a piece as it is quoted: of a table row only the columns that were asked for."""
    return narrow_row(piece.cells, lambda words: asked_in(question, words)) if piece.cells else piece.text


def asked_in(question: Question, text: str) -> float:
    """The number of terms of the question that a text contains; a term that is partly contained counts by its share."""
    held = words_of(text)
    return sum(term_coverage(term, held, tongue=question.language) for term in question.asked)


def holds_any(terms: Sequence[Term], words: TextTerms, tongue: str) -> bool:
    """Whether one of the terms is among the words."""
    return any(term_coverage(term, words, tongue=tongue) for term in terms)
