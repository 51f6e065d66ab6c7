"""Is there enough in the passages to answer from, and does a piece of one answer? Plain functions on text and scores; every threshold is here.

Measured: docs/decisions/0005-weak-evidence.md has the tables and the commands.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from app.answering.numbers import is_within
from app.answering.question import Question, Term, contradicts, number_of, term_coverage, words_of

# Whole passages, before a language model is asked.
MIN_COSINE: Final = 0.40  # between the best unanswerable question (0.36) and the worst answerable one (0.44)
MIN_COSINE_WITH_ALL_WORDS: Final = 0.25  # identifiers and names: every word is there, though the meaning is not caught
MIN_COVERAGE_ALONE: Final = 0.75  # without vectors: at 0.67 unanswerable questions begin to pass

# Each piece that is quoted.
MIN_SHARE: Final = 0.81  # of the question, where words decide alone
MIN_SHARE_OF_ROW: Final = 0.75  # a row of a table says it without verbs
MIN_FOCUS_OF_ROW: Final = 0.6  # without what the title says of the whole table
MIN_GAIN_OF_ROW: Final = -0.05
MIN_SHARE_WITH_MEANING: Final = 0.45  # of the question, where the rest is said in other words
MIN_SIMILARITY: Final = 0.60  # cosine of question and piece, then
# Of a piece that holds no word of the question itself: a title may hold them all, and then every sentence under it (0.58 is another's, 0.69 its own).
MIN_SIMILARITY_ALONE: Final = 0.60
# The least by which each missing word must bring the question nearer to the piece: a synonym does, another name does not
MIN_GAIN: Final = 0.02
# Or, with this much of the question held, a missing word may leave the nearness as it is ("single", where the piece says "individual").
MIN_SHARE_UNMOVED: Final = 0.66
MIN_SIMILARITY_UNMOVED: Final = 0.65
MIN_GAIN_UNMOVED: Final = -0.02
# Each sentence of an explanation ("How do I ..."), whose passage holds the whole question.
ALL: Final = 0.99
MIN_SIMILARITY_EXPLAINING: Final = 0.48
_MOST_OF_IT: Final = 0.5  # of a run without spaces, which may be two words


@dataclass(frozen=True, slots=True)
class Coverage:
    """How a piece holds a question: `covered` in [0, 1], `own` without its context; `focus`: of what the document's title does not say
    of all of it; `missing` words may be said in other words, `refused` says that nothing can make up for what is missing."""

    covered: float
    focus: float
    own: float
    missing: tuple[Term, ...]
    refused: bool


def coverage_of(question: Question, own: str, around: str, lead: str = "", head: str = "", cells: Sequence[str] = ()) -> Coverage:
    """What of the question a piece holds, alone and with the words around it that belong to it.

    `lead`: what all of the document is about. A name that only this holds, or a word of its title lines (`head`), is neither for nor
    against the piece. `cells`: of a row, whose spans hold every number between their ends.
    """
    inside, about, top = words_of(own), words_of(lead), words_of(head)
    whole = inside | words_of(around)
    tongue = question.language
    total = covered = mine = asked = told_of = 0.0
    missing: list[Term] = []
    refused = bool(question.any_of) and not any(term_coverage(term, whole | about, tongue=tongue) for term in question.any_of)
    told = in_span = False  # `told`: by a word of its own
    for term in question.asked:
        spanned = bool(cells) and bool(number := number_of(term)) and any(is_within(number, cell) for cell in cells)
        in_span = in_span or spanned
        part = 1.0 if spanned else term_coverage(term, whole, tongue=tongue)
        if part < 1.0 and head and term_coverage(term, top, tongue=tongue) == 1.0:
            continue
        if part < 1.0 and lead and (term.naming or _is_name(term)) and term_coverage(term, about, tongue=tongue):
            continue
        itself = (1.0 if spanned else term_coverage(term, inside, tongue=tongue)) if part else 0.0
        if term.kind != "kind" and term_coverage(term, top, tongue=tongue) < 1.0:
            asked, told_of = asked + term.weight, told_of + part * term.weight
        total, covered, mine = total + term.weight, covered + part * term.weight, mine + itself * term.weight
        told = told or (itself >= _MOST_OF_IT and term.kind != "kind")
        if part < 1.0 and term.kind != "kind":
            if part < _MOST_OF_IT:
                missing.append(term)
            refused = refused or term.kind == "exact" or contradicts(term, inside)
    refused = refused or not total or (bool(missing) and (in_span or not told))  # a span says nothing of another measure
    return Coverage(
        covered / total if total else 0.0,
        told_of / asked if asked else 1.0,
        mine / total if total else 0.0,
        tuple(missing),
        refused,
    )


def may_be_quoted(found: Coverage, similarity: float | None, gains: Sequence[float]) -> bool:
    """Whether a piece may be quoted. `similarity`: None where the model cannot read; `gains`: of each missing word."""
    if found.refused:
        return False
    if not found.missing and found.covered >= MIN_SHARE:
        return (similarity is not None or found.focus >= MIN_SHARE) and (
            found.own > 0 or similarity is None or similarity >= MIN_SIMILARITY_ALONE
        )
    if similarity is None:
        return found.covered >= MIN_SHARE and found.focus >= MIN_SHARE
    least = min(gains, default=0.0)
    if found.covered >= MIN_SHARE_UNMOVED and similarity >= MIN_SIMILARITY_UNMOVED and least >= MIN_GAIN_UNMOVED:
        return True
    return found.covered >= MIN_SHARE_WITH_MEANING and similarity >= MIN_SIMILARITY and least >= MIN_GAIN


def answers_as_row(found: Coverage, gains: Sequence[float]) -> bool:
    """Whether a row of a table may be quoted: it says it without verbs, and each of its cells with the head of its column."""
    if found.refused or found.own <= 0 or found.covered < MIN_SHARE_OF_ROW or found.focus < MIN_FOCUS_OF_ROW:
        return False
    return min(gains, default=0.0) >= MIN_GAIN_OF_ROW


def coverage(question: Question, passages: Sequence[str]) -> float:
    """Largest share, in [0, 1], of the question's terms that one passage contains."""
    return max((coverage_of(question, passage, "").covered for passage in passages), default=0.0)


def is_enough(question: Question, passages: Sequence[str], best_cosine: float | None) -> bool:
    """Whether to ask a language model at all; `best_cosine` None means that only words were searched.

    An identifier of the question must be in one of the passages.
    """
    identifiers = [term for term in question.asked if _is_identifier(term)]
    there = [words_of(passage) for passage in passages]
    if any(all(not term_coverage(term, words, tongue=question.language) for words in there) for term in identifiers):
        return False
    return signals_suffice(best_cosine, coverage(question, passages))


def _is_name(term: Term) -> bool:
    return term.kind == "exact" and not any(map(str.isdigit, term.text))


def _is_identifier(term: Term) -> bool:
    return term.kind == "exact" and any(map(str.isdigit, term.text)) and any(map(str.isalpha, term.text))


def signals_suffice(best_cosine: float | None, covered: float) -> bool:
    """The rule itself, on the two signals."""
    if best_cosine is None:
        return covered >= MIN_COVERAGE_ALONE
    return best_cosine >= MIN_COSINE or (covered > 0.999 and best_cosine >= MIN_COSINE_WITH_ALL_WORDS)
