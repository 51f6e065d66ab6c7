"""Office files, converted to Markdown by kreuzberg: one library for seven formats (docs/decisions/0010-reading-documents.md)."""

from __future__ import annotations

import io
import re
import zipfile
from typing import Any, Final

from app.text.blocks import headings
from app.text.document import ParsedDocument
from app.text.formats.format import NO_TITLE, Read
from app.text.rejection import broken_file, called

LIBRARY: Final = "kreuzberg"
# A text of 10 MB is at the limit of a document; a real office file of 50 MB unpacks to some 300 MB, most of it pictures.
MOST_UNPACKED_BYTES: Final = 400_000_000
MOST_ENTRIES: Final = 20_000  # a workbook of a thousand sheets has a few thousand
_UNTOLD: Final = frozenset({"untitled", "powerpoint presentation", "presentation title", "document", "title", "presentation"})
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
        text = _BOLD.sub(r"\1", _EMPTY_LINK.sub("", _ESCAPED.sub(r"\1", found.content)))
        return ParsedDocument(
            title if title and title.casefold() not in _UNTOLD and not NO_TITLE.fullmatch(title) else next(headings(text), None),
            text,
        )

    return read


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
