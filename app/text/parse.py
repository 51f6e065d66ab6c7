"""Parses a file's bytes into a title and clean text, in this process. Files of users are
parsed through `app/text/apart.py` instead."""

from __future__ import annotations

import re
from bisect import bisect_left
from typing import Final

from app.errors import DocumentRejected
from app.text.controls import storable_line, without_controls
from app.text.document import ParsedDocument
from app.text.formats import BY_MEDIA_TYPE
from app.text.formats.pdf import FORMAT as PDF
from app.text.rejection import called

_MAX_TITLE_CHARACTERS: Final = 300
# Ten thousand pages. A file of 60 KB can unpack to a text of 60 MB, which would be 170,000 passages and an hour of embedding.
MOST_CHARACTERS: Final = 20_000_000
_BLANK_LINES: Final = re.compile(r"\n{3,}")
_INVISIBLE: Final = dict.fromkeys((0x200B, 0x2060, 0xFEFF))


def parse(body: bytes, media_type: str, filename: str | None) -> ParsedDocument:
    """Parse a file. Raises `DocumentRejected` with the reason: the file is empty, broken, encrypted or without text."""
    if not body.strip():
        raise DocumentRejected(f"{called(filename)} is empty.")
    one = BY_MEDIA_TYPE.get(media_type)
    if one is None:
        raise DocumentRejected(f"{called(filename)} has the type {media_type}, which cannot be read.")
    parsed = one.read(body, filename)
    if len(parsed.text) > (most := max(MOST_CHARACTERS, 2 * len(body))):
        raise DocumentRejected(
            f"{called(filename)} holds {len(parsed.text)} characters of text, more than the {most} that one document may have."
        )
    text, pages = _clean(parsed.text, parsed.pages)
    if not any(map(str.isalnum, text)):
        reason = "a scan needs text recognition first" if one is PDF else "there are no words in it"
        raise DocumentRejected(f"{called(filename)} has no text: {reason}.")
    title = " ".join(_clean(parsed.title or "", ())[0].split())[:_MAX_TITLE_CHARACTERS]
    return ParsedDocument(title or None, text, pages, tuple(map(storable_line, parsed.warnings)), parsed.metadata)


def _clean(text: str, pages: tuple[int, ...]) -> tuple[str, tuple[int, ...]]:
    """(text, page starts) without control characters, spaces at line ends and runs of
    blank lines; the page starts are adjusted."""
    if not pages:
        return _tidy(text).strip("\n "), ()
    parts = [_tidy(text[start:end]) for start, end in zip(pages, (*pages[1:], len(text)), strict=True)]
    before = len(text[: pages[0]])
    starts, size = list[int](), before
    for part in parts:
        starts.append(size)
        size += len(part)
    return text[:before] + "".join(parts), tuple(starts)


def _tidy(text: str) -> str:
    text = (
        text.replace("\r\n", "\n").replace("\r", "\n").replace("\x0c", "\n\n").replace("\u2028", "\n").replace("\u2029", "\n\n")
    )
    # Lone surrogates cannot be stored.
    text = without_controls(text.encode("utf-8", errors="replace").decode()).translate(_INVISIBLE)
    return _BLANK_LINES.sub("\n\n", "\n".join(map(str.rstrip, text.split("\n"))))


def page_at(pages: tuple[int, ...], place: int) -> int | None:
    """The page, counted from 1, that contains offset `place` of the text; None for a text without pages."""
    return max(1, bisect_left(pages, place + 1)) if pages else None
