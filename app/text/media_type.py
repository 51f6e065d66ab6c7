"""Detects a file's format from its first bytes, its name and the media type that its sender declared, in this order of trust."""

from __future__ import annotations

from typing import Final

from app.errors import UnsupportedMedia
from app.text.encoding import wide_encoding
from app.text.formats import BY_MEDIA_TYPE, FORMATS, names
from app.text.formats.format import Format
from app.text.formats.html import FORMAT as HTML
from app.text.formats.pdf import FORMAT as PDF
from app.text.formats.plain import FORMAT as TEXT
from app.text.formats.rtf import FORMAT as RTF
from app.text.rejection import called

_BY_SUFFIX: Final = {suffix: one for one in FORMATS for suffix in one.suffixes}
_DECLARED: Final = {said: one for one in FORMATS for said in (one.media_type, *one.declared)}
_BOMS: Final = (b"\xff\xfe", b"\xfe\xff")
_UTF8_BOM: Final = b"\xef\xbb\xbf"
_BINARY_SHARE: Final = 0.1  # control characters in real text stay far below a tenth
_OLD_OFFICE: Final = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"
# Longest first: a media type stated in the archive is longer than the name of a part and more reliable, because an
# EPUB may contain a folder called `word`.
_ARCHIVES: Final = sorted(((one.archive_mark, one) for one in FORMATS if one.archive_mark), key=lambda found: -len(found[0]))


def detect_media_type(filename: str | None, declared: str | None, head: bytes) -> str:
    """The media type of the file, which is one of `FORMATS`. `head`: at least its first 4,096 bytes, or the whole file.

    Raises `UnsupportedMedia`, which lists the readable formats, for every other kind of file.
    """
    named, said = _BY_SUFFIX.get(_suffix(filename)), _DECLARED.get((declared or "").partition(";")[0].strip().lower())
    if b"%PDF-" in head[:1024]:
        return PDF.media_type
    if head.startswith(b"PK\x03\x04"):
        return _archive(filename, named, said, head)
    if head.startswith(_OLD_OFFICE):
        raise UnsupportedMedia(
            f"{called(filename)} is an Office file of the old kind or an encrypted one: save it as .docx, .xlsx or .pptx."
        )
    if head.lstrip()[:6].startswith(b"{\\rtf"):
        return RTF.media_type
    if is_binary(head):
        if PDF in (named, said):
            raise UnsupportedMedia(f"{called(filename)} is called a PDF but does not begin like one.")
        raise UnsupportedMedia(f"{called(filename)} is a binary file of a type that cannot be read; these can: {names()}.")
    for one in (named, said):
        if one is not None and not one.text:
            raise UnsupportedMedia(f"{called(filename)} is called {one.name} but does not begin like that.")
    begin = head.removeprefix(_UTF8_BOM)[:512].lstrip()[:16].lower()
    if begin.startswith((b"<!doctype html", b"<html")) and named is None:
        return HTML.media_type
    return (named or said or TEXT).media_type


def is_binary(head: bytes) -> bool:
    """Whether these bytes are binary data, and not text in any encoding."""
    if head.startswith(_BOMS) or wide_encoding(head):
        return False
    sample = head[:8192]
    odd = sum(byte < 32 and byte not in b"\t\n\r\x0c\x1b" for byte in sample)
    return b"\x00" in sample or odd > len(sample) * _BINARY_SHARE


def _archive(filename: str | None, named: Format | None, said: Format | None, head: bytes) -> str:
    inside = next((one for mark, one in _ARCHIVES if mark in head), None)
    for one in (inside, named, said):
        if one is not None and one.archive_mark:
            return one.media_type
    raise UnsupportedMedia(f"{called(filename)} is an archive: unpack it and send the files; these can be read: {names()}.")


def _suffix(filename: str | None) -> str:
    return (filename or "").rpartition(".")[2].lower() if "." in (filename or "") else ""


def is_readable(media_type: str) -> bool:
    """Whether a document of this type can be read."""
    return media_type in BY_MEDIA_TYPE
