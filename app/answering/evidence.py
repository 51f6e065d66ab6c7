"""Evidence: decides whether the passages are enough to answer from, and whether a piece of a passage answers the question.

Plain functions on texts and scores, with all thresholds. The measurements behind them, with tables and commands, are in
docs/decisions/0005-weak-evidence.md.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from app.answering.numbers import is_within
from app.answering.question import Question, Term, contradicts, number_of, term_coverage, words_of

# Thresholds for whole passages, which are checked before a language model is asked.
MIN_COSINE: Final = 0.40  # between the highest of an unanswerable question (0.36) and the lowest of an answerable one (0.44)
MIN_COSINE_WITH_ALL_WORDS: Final = 0.25  # for identifiers and names: all words match although the model does not see the meaning
MIN_COVERAGE_ALONE: Final = 0.75  # without vectors; at 0.67 some unanswerable questions would pass

# Thresholds for each piece that is quoted.
MIN_SHARE: Final = 0.81  # share of the question, where words alone decide
MIN_SHARE_OF_ROW: Final = 0.75  # a row of a table has no verbs to match
MIN_FOCUS_OF_ROW: Final = 0.6  # the same share without the words that are in the document's title
MIN_GAIN_OF_ROW: Final = -0.05
MIN_SHARE_WITH_MEANING: Final = 0.45  # share of the question, where the rest is expressed in other words
MIN_SIMILARITY: Final = 0.60  # and then the cosine of question and piece
# The cosine for a piece that contains no word of the question itself. If the title contains them all, every sentence below it
# matches by words; measured cosines are 0.58 for an unrelated sentence and 0.69 for one that answers.
MIN_SIMILARITY_ALONE: Final = 0.60
# The least gain in cosine by each word that the piece lacks: a word that the piece expresses by a synonym brings the question
# nearer to the piece, another name does not.
MIN_GAIN: Final = 0.02
# Alternatively, if this share of the question is covered, a missing word may leave the cosine
# unchanged ("single" for "individual").
MIN_SHARE_UNMOVED: Final = 0.66
MIN_SIMILARITY_UNMOVED: Final = 0.65
MIN_GAIN_UNMOVED: Final = -0.02
# For the sentences of an explanation ("How do I ..."): their passage must cover practically the whole question.
ALL: Final = 0.99
MIN_SIMILARITY_EXPLAINING: Final = 0.48
_MOST_OF_IT: Final = 0.5  # of a run in a script without spaces, which may be two words


@dataclass(frozen=True, slots=True)
class Coverage:
    """How much of a question a piece covers, as shares in [0, 1] of its weighted terms.

    `covered`: together with its context; `own`: by the piece alone; `focus`: of the terms that are not in the document's title
    lines. `missing`: terms that the piece lacks but may express in other words. `refused`: it lacks something indispensable.
    """

    covered: float
    focus: float
    own: float
    missing: tuple[Term, ...]
    refused: bool


def coverage_of(question: Question, own: str, around: str, lead: str = "", head: str = "", cells: Sequence[str] = ()) -> Coverage:
    """How much of the question a piece covers. `own`: the piece; `around`: its context, such as headings.

    `lead`: the beginning of the document, which says what all of it is about. A name that is only there, or a word that is only
    in the title lines (`head`), counts neither for nor against the piece. `cells`: the cells of a table row; a cell with a range
    ("501 to 2,500") matches every number in the range.
    """
    inside, about, top = words_of(own), words_of(lead), words_of(head)
    whole = inside | words_of(around)
    tongue = question.language
    total = covered = mine = asked = told_of = 0.0
    missing: list[Term] = []
    refused = bool(question.any_of) and not any(term_coverage(term, whole | about, tongue=tongue) for term in question.any_of)
    told = in_span = False  # `told`: the piece itself has a word of the question
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
    # A range that matches a number may be of another measure, so then no other term may be missing.
    refused = refused or not total or (bool(missing) and (in_span or not told))
    return Coverage(
        covered / total if total else 0.0,
        told_of / asked if asked else 1.0,
        mine / total if total else 0.0,
        tuple(missing),
        refused,
    )


def may_be_quoted(found: Coverage, similarity: float | None, gains: Sequence[float]) -> bool:
    """Whether a piece may be quoted. `similarity`: the cosine of question and piece, None where the model cannot read them.
    `gains`: for each missing word, by how much it raises the cosine."""
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
    """Whether a table row may be quoted. It needs less coverage, because it has no verbs and the head of a column explains each
    cell. `gains`: as in `may_be_quoted`."""
    if found.refused or found.own <= 0 or found.covered < MIN_SHARE_OF_ROW or found.focus < MIN_FOCUS_OF_ROW:
        return False
    return min(gains, default=0.0) >= MIN_GAIN_OF_ROW


def coverage(question: Question, passages: Sequence[str]) -> float:
    """Largest share, in [0, 1], of the question's terms that one passage contains."""
    return max((coverage_of(question, passage, "").covered for passage in passages), default=0.0)


def is_enough(question: Question, passages: Sequence[str], best_cosine: float | None) -> bool:
    """Whether the passages justify asking a language model. `best_cosine` is None when the search was by words alone.

    Every identifier of the question must occur in one of the passages.
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
    """The rule for whole passages, on the best cosine and the coverage."""
    if best_cosine is None:
        return covered >= MIN_COVERAGE_ALONE
    return best_cosine >= MIN_COSINE or (covered > 0.999 and best_cosine >= MIN_COSINE_WITH_ALL_WORDS)
