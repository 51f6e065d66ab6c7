"""Parts of Office files that the library does not tell: which sheets are hidden, and what a speaker's notes say."""

from __future__ import annotations

import html
import io
import re
import zipfile
from collections.abc import Iterator
from contextlib import suppress
from typing import Final

_MOST_BYTES: Final = 2_000_000  # of one part; a workbook's list of sheets has kilobytes, and notes are shorter than a page
_SHEET: Final = re.compile(r"<(?:\w{1,9}:)?sheet\s([^<>]{1,1000})>")
_NAME: Final = re.compile(r"\bname=\"([^\"<>]{1,200})\"")
_HIDDEN: Final = re.compile(r"\bstate=\"(?:hidden|veryHidden)\"")
_NOTES: Final = re.compile(r"ppt/notesSlides/notesSlide(\d{1,5})\.xml")
_SLIDE: Final = re.compile(r"slides/slide(\d{1,5})\.xml")
_FIELD: Final = re.compile(r"<a:fld\b.*?</a:fld>", re.DOTALL)  # the number of the slide
_PARAGRAPH: Final = re.compile(r"</a:p>")
_TEXT: Final = re.compile(r"<a:t>([^<>]{0,100000})</a:t>")


def hidden_sheets(workbook: bytes) -> frozenset[str]:
    """The names of the sheets that a workbook hides."""
    with zipfile.ZipFile(io.BytesIO(workbook)) as archive:
        told = _part(archive, "xl/workbook.xml")
    sheets = (found[1] for found in _SHEET.finditer(told) if _HIDDEN.search(found[1]))
    return frozenset(html.unescape(name[1]) for one in sheets if (name := _NAME.search(one)))


def speaker_notes(presentation: bytes) -> Iterator[str]:
    """The notes of each slide that has some, as a paragraph that names the slide."""
    with zipfile.ZipFile(io.BytesIO(presentation)) as archive:
        notes = {int(found[1]): name for name in archive.namelist() if (found := _NOTES.fullmatch(name))}
        for number, name in sorted(notes.items()):
            slide = _SLIDE.search(_part(archive, f"ppt/notesSlides/_rels/notesSlide{number}.xml.rels"))
            paragraphs = _PARAGRAPH.split(_FIELD.sub("", _part(archive, name)))
            said = " ".join(filter(None, ("".join(map(html.unescape, _TEXT.findall(one))).strip() for one in paragraphs)))
            if said:
                yield f"Notes of slide {slide[1] if slide else number}: {said}"


def _part(archive: zipfile.ZipFile, name: str) -> str:
    with suppress(KeyError, zipfile.BadZipFile, NotImplementedError, RuntimeError, EOFError), archive.open(name) as part:
        return part.read(_MOST_BYTES).decode("utf-8", errors="replace")
    return ""
