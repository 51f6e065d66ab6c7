"""Answers that are lists: the lines under a heading that the question names ("What changed in 2.3.0?"), and all records with a
certain value ("Which tickets are assigned to Ann?"). No single line of such a list covers the question."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Final

from app.answering import evidence
from app.answering.evidence import Coverage
from app.answering.prompt import PromptSource
from app.answering.question import Question, term_coverage, words_of
from app.answering.quotable import Quotable, candidates, records
from app.answering.rows import row_text

MOST_LISTED: Final = 8  # lines; a longer list is better read in its document
_ASKS_ALL: Final = re.compile(
    r"\A\W{0,3}(?:what(?:['’]s| is| was| were| are)? (?:new|changed?|changes|fixed|added|decided|discussed|included)\b|what (?:has|have) changed\b"
    r"|was (?:ist|war) neu\b|was hat sich geändert\b|was wurde (?:geändert|beschlossen)\b|qu['’]est-ce qui a changé\b|qué (?:ha )?cambi[aó]d?o?\b)",
    re.IGNORECASE,
)
_ASKS_WHICH: Final = re.compile(r"\A\W{0,3}(?:which|what|list|welche\w{0,2}|quel(?:le)?s|qué|cuáles|какие)\b", re.IGNORECASE)


def under_heading(question: Question, sources: Sequence[PromptSource]) -> Iterator[tuple[Quotable, Coverage]]:
    """The lines under a heading with the number, version or name of the question, if the question asks for all of them."""
    asks = _ASKS_ALL.match(question.text)
    exact = [term for term in question.asked if term.kind == "exact"]
    if asks is None or not exact:
        return
    generic = words_of(asks.group())
    rest = [
        term for term in question.asked if term.kind != "kind" and term_coverage(term, generic, tongue=question.language) < 1.0
    ]
    for piece in candidates(sources):
        heading, around = words_of(piece.heading), words_of(f"{piece.context}\n{piece.text}")
        if any(term_coverage(term, heading, tongue=question.language) for term in exact) and all(
            term_coverage(term, around, tongue=question.language) == 1.0 for term in rest
        ):
            yield piece, evidence.coverage_of(question, piece.text, piece.context)


def with_value(question: Question, sources: Sequence[PromptSource]) -> Iterator[tuple[Quotable, Coverage]]:
    """The records in which one value contains the names and numbers of the question, if the
    question asks which records these are."""
    exact = [term for term in question.asked if term.kind == "exact"]
    if not _ASKS_WHICH.match(question.text) or not exact:
        return
    for piece in records(sources):
        found = evidence.coverage_of(question, piece.text, piece.context, piece.lead, piece.head)
        own = [term for term in exact if term_coverage(term, words_of(piece.text), tongue=question.language)]
        values = (words_of(value) for _, value in piece.cells[1:])
        named = bool(own) and any(all(term_coverage(term, value, tongue=question.language) for term in own) for value in values)
        if named and evidence.answers_as_row(found, ()):
            yield piece, found


def shorten_record(question: Question, piece: Quotable) -> str:
    """A record reduced to its first two lines, which identify it, and the lines whose key or value has a term of the question."""
    tongue = question.language
    kept = [
        (head, value)
        for place, (head, value) in enumerate(piece.cells)
        if place < 2
        or any(
            term.kind != "kind" and term_coverage(term, words_of(f"{head}: {value}"), tongue=tongue) for term in question.asked
        )
    ]
    return row_text(kept)
