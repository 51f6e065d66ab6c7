"""Office files, converted to Markdown by kreuzberg: one library for seven formats (docs/decisions/0010-reading-documents.md)."""

from __future__ import annotations

import io
import re
import zipfile
from collections.abc import Collection
from typing import Any, Final

from app.text.blocks import headings
from app.text.document import ParsedDocument
from app.text.formats.format import NO_TITLE, Read
from app.text.formats.office_parts import hidden_sheets, speaker_notes
from app.text.formats.table import sheet
from app.text.rejection import broken_file, called

LIBRARY: Final = "kreuzberg"
PPTX: Final = "application/vnd.openxmlformats-officedocument.presentationml.presentation"
XLSX: Final = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"
# A text of 10 MB is at the limit of a document; a real office file of 50 MB unpacks to some 300 MB, most of it pictures.
MOST_UNPACKED_BYTES: Final = 400_000_000
MOST_ENTRIES: Final = 20_000  # a workbook of a thousand sheets has a few thousand
_UNTOLD: Final = frozenset({"untitled", "powerpoint presentation", "presentation title", "document", "title", "presentation"})
_SHEET: Final = re.compile(
    r"\A(?:sheet|tabelle|feuil|hoja|foglio|planilha|arkusz|лист|シート|工作表|ورقة)\s?\d{0,3}\Z", re.IGNORECASE
)
_NOTE: Final = re.compile(r"^\[\^\d{1,5}\]:\s{0,20}", re.MULTILINE)
_NOTE_MARK: Final = re.compile(r"\[\^\d{1,5}\]")
_MIDNIGHT: Final = re.compile(r"(?<=\d\d\d\d-\d\d-\d\d) 00:00:00\b")  # of a cell that holds a day
_IMAGE: Final = re.compile(r"!\[([^\[\]\n]{0,400})\]\([^()\s]{0,2000}\)")
_TABLE: Final = re.compile(r"^\|[^\n]*+(?:\n\|[^\n]*+)*+\n?", re.MULTILINE)
_SECTION: Final = re.compile(r"^(?=## )", re.MULTILINE)
_CELL_BORDER: Final = re.compile(r"(?<!\\)\|")
_EMPTY_LINK: Final = re.compile(r"\[\]\([^()\s]{0,2000}\)")
_BOLD: Final = re.compile(r"\*\*([^*\n]{1,500})\*\*")
_ESCAPED: Final = re.compile(r"\\([\\`*_{}\[\]()#+\-.!|~<>])")


def office_reader(media_type: str) -> Read:
    """The reader of one office format."""

    def read(body: bytes, filename: str | None) -> ParsedDocument:
        import kreuzberg

        if body.startswith(b"PK"):
            refuse_bomb(body, filename)
        settings = kreuzberg.ExtractionConfig(use_cache=False, output_format="markdown")
        try:
            found = kreuzberg.extract_bytes_sync(body, media_type, settings)
        except Exception as error:  # the library wraps the errors of dozens of readers, and their panics
            raise broken_file(filename, error) from error
        metadata: dict[str, Any] = dict(found.metadata or {})
        title = str(metadata.get("title") or "").strip()
        text = _BOLD.sub(r"\1", _EMPTY_LINK.sub("", _ESCAPED.sub(r"\1", _IMAGE.sub(r"\1", found.content))))
        text = _NOTE_MARK.sub("", _NOTE.sub("", text))
        if media_type == XLSX:
            text = _MIDNIGHT.sub("", _TABLE.sub(_sheet, _without_sheets(text, hidden_sheets(body))))
        elif media_type == PPTX:
            notes = list(speaker_notes(body))
            text = "\n\n".join([text.rstrip(), *(["## Notes"] if notes else []), *notes])
        named = (heading for heading in headings(text) if not _SHEET.match(heading))
        return ParsedDocument(title if _is_telling(title) else next(named, None), text)

    return read


def _is_telling(title: str) -> bool:
    """Whether a title says something: no program's default, and not in the codes of Rich Text."""
    return bool(title) and title.casefold() not in _UNTOLD and not NO_TITLE.fullmatch(title) and "\\" not in title


def _without_sheets(text: str, names: Collection[str]) -> str:
    return "".join(part for part in _SECTION.split(text) if part.split("\n", 1)[0].removeprefix("## ") not in names)


def _sheet(found: re.Match[str]) -> str:
    """A sheet without empty rows, and with its title above its table instead of as its head."""
    lines = [line for line in found[0].split("\n") if line.strip("|-: ")]
    rows = [
        [cell.strip().replace(r"\|", "|") for cell in _CELL_BORDER.split(line.strip().removeprefix("|").removesuffix("|"))]
        for line in lines
    ]
    return "\n".join(sheet(rows)) + "\n"


def refuse_bomb(body: bytes, filename: str | None) -> None:
    """Raises `DocumentRejected` for an archive whose stated sizes exceed those of any real document; the process's memory limit
    stops an archive that states false sizes."""
    try:
        entries = zipfile.ZipFile(io.BytesIO(body)).infolist()
    except (zipfile.BadZipFile, NotImplementedError, ValueError, OverflowError) as error:
        raise broken_file(filename, error) from error
    unpacked = sum(entry.file_size for entry in entries)
    if unpacked > MOST_UNPACKED_BYTES or len(entries) > MOST_ENTRIES:
        raise broken_file(filename, f"it unpacks to {unpacked} bytes in {len(entries)} parts, more than any document needs")
    if any(entry.flag_bits & 1 for entry in entries):
        raise broken_file(filename, f"{called(filename)} is encrypted: send it without a password")
