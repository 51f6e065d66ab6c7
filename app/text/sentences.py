"""Splits paragraphs into sentences."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

_END: Final = re.compile(r"(?<=[.!?…。！？])[\"'”’)\]]{0,8}\s+|(?<=[。！？])")
# A single letter is an initial, unless it is a unit ("12 V.", "1 Gbit/s.") or a genitive ("St Brannock's.").
_ABBREVIATION: Final = re.compile(
    r"(?:\b(?:e\.g|i\.e|a\.m|p\.m|etc|cf|vs|al|Fig|Eq|No|Dr|Mr|Mrs|Ms|Prof|St|Vol|pp?|Nr|Abs|Art|Str|Tel|bzw|ca|z\.B|inkl)|(?<![/'’\d])(?<!\d[ \u00a0])\b[A-Za-z])\.$"
)
# "am 15. März", "der 3. Stock": German writes ordinal numbers with a point.
_ORDINAL: Final = re.compile(r"(?:\A|\s|[(–-])\d{1,2}\.\Z")
_ORDERED: Final = re.compile(
    r"(?:[a-zäöü]|(?:Januar|Februar|März|April|Mai|Juni|Juli|August|September|Oktober|November|Dezember|Stock|Etage|Obergeschoss|OG|Quartal|"
    r"Klasse|Jahrhundert|Lebensjahr|Tag|Woche|Monat)\b)"
)
_ABBREVIATION_CHARACTERS: Final = 8  # the longest abbreviation, with its point and the character before it


def ends_in_abbreviation(text: str) -> bool:
    """Whether the point at the end of `text` belongs to an abbreviation or an initial."""
    return _ABBREVIATION.search(text[-_ABBREVIATION_CHARACTERS:]) is not None


def sentences(block: str) -> Iterator[str]:
    """The sentences of a paragraph; the point of an abbreviation does not end one."""
    start = 0
    for end in _END.finditer(block):
        if _ORDINAL.search(block[max(start, end.start() - 4) : end.start()]) and _ORDERED.match(block[end.end() :]):
            continue
        if ends_in_abbreviation(block[max(start, end.start() - _ABBREVIATION_CHARACTERS) : end.start()]):
            continue
        sentence = block[start : end.end()].strip()
        if sentence:
            yield sentence
            start = end.end()
    rest = block[start:].strip()
    if rest:
        yield rest
