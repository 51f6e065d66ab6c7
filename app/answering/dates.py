"""The date of a document: the date that it states itself, or else the day on which it was added."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, date, datetime
from typing import Final

from app.text.blocks import blocks

_METADATA: Final = ("date", "updated", "modified", "published", "valid_from", "effective", "created")
_ISO: Final = re.compile(r"\b((?:19|20)\d\d)[-/.](0[1-9]|1[0-2])(?:[-/.](0[1-9]|[12]\d|3[01]))?\b")
_DAY_FIRST: Final = re.compile(r"\b(\d{1,2})\.\s?(\d{1,2})\.\s?((?:19|20)\d\d)\b")
_MONTHS: Final = "jan feb mar apr may jun jul aug sep oct nov dec".split()  # noqa: SIM905
_NAMED: Final = re.compile(rf"\b(?:(\d{{1,2}})(?:st|nd|rd|th)?\.?\s+)?({'|'.join(_MONTHS)})[a-z]*\.?\s+(?:(\d{{1,2}})(?:st|nd|rd|th)?,?\s+)?((?:19|20)\d\d)\b", re.IGNORECASE)  # fmt: skip
_CJK: Final = re.compile(r"((?:19|20)\d\d)年(?:(\d{1,2})月(?:(\d{1,2})日)?)?")
_YEAR: Final = re.compile(r"(?<![\d.,-])((?:19|20)\d\d)(?![\d.,]*\d)")
_SAYS_DATE: Final = re.compile(
    r"[\s*_>-]{0,6}(?:date|dated|datum|stand|fecha|data|updated|last updated|last modified|modified|published|as of|effective|valid (?:from|since)|version|"
    r"gültig (?:ab|seit)|в редакции|дата|日期|日付|التاريخ)\b",
    re.IGNORECASE,
)
_LONGEST_LINE: Final = 120


def date_stated(title: str, source: str | None, metadata: Mapping[str, str], passage: str) -> str:
    """The date that a document states, as YYYY, YYYY-MM or YYYY-MM-DD; "" when it states none.

    It is searched first in the metadata, then in the title and the source, then in headings
    and in lines that are labelled as a date.
    """
    places = [metadata.get(key, "") for key in _METADATA]
    places += [title, (source or "").rsplit("/", 1)[-1]]
    for block in blocks(passage):
        line = block.text.split("\n", 1)[0]
        if block.kind == "heading" or (len(line) <= _LONGEST_LINE and _SAYS_DATE.match(line)):
            places.append(line)
    return next((found for place in places if (found := _date_in(place))), "")


def date_added(document_id: str) -> str:
    """The day on which a document was added, read from its id, a UUIDv7, which begins with a timestamp. "" for any other id."""
    digits = document_id.replace("-", "")[:12]
    if len(document_id) != 36 or document_id[14:15] != "7":
        return ""
    return datetime.fromtimestamp(int(digits, 16) / 1000, UTC).isoformat(timespec="milliseconds")


def _date_in(text: str) -> str:
    if found := _ISO.search(text):
        return "-".join(filter(None, found.groups()))
    if found := _DAY_FIRST.search(text):
        return _checked(found[3], found[2], found[1])
    if found := _NAMED.search(text):
        return _checked(found[4], str(_MONTHS.index(found[2].lower()[:3]) + 1), found[1] or found[3])
    if found := _CJK.search(text):
        return _checked(*found.groups())
    found = _YEAR.search(text)
    return found[1] if found else ""


def _checked(year: str, month: str | None, day: str | None) -> str:
    try:
        date(int(year), int(month or 1), int(day or 1))
    except ValueError:
        return year
    return "-".join([year, *([f"{int(month):02d}"] if month else []), *([f"{int(day):02d}"] if month and day else [])])
