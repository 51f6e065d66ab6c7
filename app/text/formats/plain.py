"""Plain text, in any encoding that can be recognised."""

from __future__ import annotations

from typing import Final

from app.text.document import ParsedDocument
from app.text.encoding import decode_text
from app.text.formats.format import Format


def read(body: bytes, filename: str | None) -> ParsedDocument:
    """The text as it is."""
    return ParsedDocument(None, decode_text(body, filename))


FORMAT: Final = Format("Text", "text/plain", ("txt", "text", "log"), read, text=True)
