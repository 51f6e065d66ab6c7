"""Finds statements of different documents that cannot both be right. The answer shows all of
them with their dates, the newest first."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from app.answering.function_words import FUNCTION_WORDS
from app.answering.numbers import numbers_in
from app.answering.prompt import PromptSource
from app.answering.question import words_of
from app.answering.quotable import title_lines

_DENSE: Final = re.compile(
    r"[\u0e01-\u0e4e\u0e81-\u0ecd\u1000-\u109f\u1780-\u17d3\u3041-\u30fc\u3400-\u9fff\uac00-\ud7a3\uf900-\ufaff]"
)
_SAME: Final = 0.8  # the share of common words from which two pieces count as the same statement
_LEAST_TITLE: Final = 2  # words; a title such as "Statutes" alone does not identify a document
_ALIKE: Final = 0.6  # the share of common words from which two pieces are about the same thing
_NEWEST: Final = "According to "
_OTHER: Final = "But according to "
MARKS: Final = (_NEWEST, _OTHER)


@dataclass(frozen=True, slots=True)
class Statement:
    """One quoted piece. `text`: as the answer shows it; `own`: as it is in the document."""

    text: str
    own: str
    source: PromptSource


def is_same_statement(one: str, other: str) -> bool:
    """Whether two pieces say the same: the same numbers, and nearly the same words."""
    return numbers_in(one) == numbers_in(other) and _common(one, other) >= _SAME and not _each_has_its_own(one, other)


def differ(one: Statement, other: Statement) -> bool:
    """Whether two documents make different statements about the same thing."""
    if one.source.document == other.source.document:
        return False
    if versions(one.source, other.source) and numbers_in(one.own) != numbers_in(other.own):
        return True
    if _common(one.own, other.own) < _ALIKE:
        return False
    if numbers_in(one.own) != numbers_in(other.own):
        return True
    a, b = _words(one.own), _words(other.own)
    return _each_has_its_own(one.own, other.own) and len(a & b) >= _ALIKE * max(len(a), len(b))


def versions(one: PromptSource, other: PromptSource) -> bool:
    """Whether two documents look like versions of the same document: the title lines of one contain all words of the other's;
    numbers, such as the year, are ignored."""
    if one.document == other.document:
        return False
    few, more = sorted((_words(title_lines(one)), _words(title_lines(other))), key=len)
    return len(few) >= _LEAST_TITLE and len(few & more) >= len(few)


def conflicts_together(statements: Sequence[Statement]) -> Iterator[tuple[str, int]]:
    """(text, source number) for each statement in the given order, but with conflicting statements grouped, the newest first, and
    prefixed with their document's title and date."""
    left = list(statements)
    while left:
        first = left.pop(0)
        against = [one for one in left if differ(first, one)]
        if not against:
            yield first.text, first.source.n
            continue
        left = [one for one in left if one not in against]
        for place, one in enumerate(sorted((first, *against), key=lambda each: each.source.dated, reverse=True)):
            text = one.text.removeprefix(f"{one.source.title}: ")
            yield f"{_OTHER if place else _NEWEST}“{one.source.title}” ({one.source.date_words}): {text}", one.source.n


def _words(text: str) -> frozenset[str]:
    held = words_of(text)
    dense = {term for term in held.terms if _DENSE.match(term)}
    return frozenset(word for word in held.folded | dense if not any(map(str.isdigit, word))) - FUNCTION_WORDS["en"]


def _common(one: str, other: str) -> float:
    a, b = _words(one), _words(other)
    return len(a & b) / max(1, min(len(a), len(b)))


def _each_has_its_own(one: str, other: str) -> bool:
    a, b = _words(one), _words(other)
    return bool(a - b) and bool(b - a)
