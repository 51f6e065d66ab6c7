"""The words of messages about a file that cannot be read."""

from __future__ import annotations

from app.errors import DocumentRejected
from app.text.controls import storable_line


def called(filename: str | None) -> str:
    """The file's name in the form that messages use."""
    return f"The file {filename[:100]!r}" if filename else "The document"


def broken_file(filename: str | None, why: object) -> DocumentRejected:
    """The error for a damaged file; `why` is the library's error, which is shortened."""
    return DocumentRejected(f"{called(filename)} is broken: {storable_line(str(why)[:300]) or type(why).__name__}.")
