"""Turns a file's bytes into a title and plain text.

`parse` is for text made by us or checked already; `parse_apart` runs HTML and PDF in a child process with limits, so that
a hostile file can at worst waste its own time. `python -m app.rag.parse` is that child.
"""

from __future__ import annotations

import io
import json
import re
import subprocess
import sys
from dataclasses import dataclass
from typing import Final

from app.errors import DocumentRejected, UnsupportedMedia

TEXT: Final = "text/plain"
MARKDOWN: Final = "text/markdown"
HTML: Final = "text/html"
PDF: Final = "application/pdf"
_BY_SUFFIX: Final = {
    "txt": TEXT, "text": TEXT, "log": TEXT, "rst": TEXT, "csv": TEXT,
    "md": MARKDOWN, "markdown": MARKDOWN, "html": HTML, "htm": HTML, "xhtml": HTML, "pdf": PDF,
}  # fmt: skip
_BY_DECLARATION: Final = {
    TEXT: TEXT, MARKDOWN: MARKDOWN, "text/x-markdown": MARKDOWN, HTML: HTML, "application/xhtml+xml": HTML, PDF: PDF,
    "text/csv": TEXT, "text/x-rst": TEXT,
}  # fmt: skip
_BOMS: Final = (b"\xef\xbb\xbf", b"\xff\xfe", b"\xfe\xff")
_BINARY_SHARE: Final = 0.1  # control characters in real text stay far below a tenth
APART_SECONDS: Final = 60  # a 10 MB PDF of 1,000 pages takes about 30 s on one core
APART_MEMORY_BYTES: Final = 1_000_000_000  # address space; a sound 10 MB file needs a fifth of it
_MAX_TITLE_CHARACTERS: Final = 300
_DROPPED_TAGS: Final = ("script", "style", "nav", "noscript", "template", "svg", "iframe", "form", "footer")
_HEADINGS: Final = {"h1": "# ", "h2": "## ", "h3": "### ", "h4": "#### ", "h5": "##### ", "h6": "###### "}


@dataclass(frozen=True, slots=True)
class Parsed:
    """`title` None when the file names none. `text`: paragraphs apart by blank lines, headings marked by `#`."""

    title: str | None
    text: str


def detect_media_type(filename: str | None, declared: str | None, head: bytes) -> str:
    """One of the four media types we read, from the first bytes, the name and the declared type, in that order of trust.

    `head`: at least the first 1,024 bytes, or the whole file. Raises `UnsupportedMedia` for other binary files.
    """
    if head[:1024].lstrip()[:5] == b"%PDF-" or b"%PDF-" in head[:1024]:
        return PDF
    suffix = (filename or "").rpartition(".")[2].lower() if "." in (filename or "") else ""
    named = _BY_SUFFIX.get(suffix)
    said = _BY_DECLARATION.get((declared or "").partition(";")[0].strip().lower())
    if PDF in (named, said) and not _is_binary(head):
        named, said = (None if named == PDF else named), (None if said == PDF else said)
        if not named and not said:
            raise UnsupportedMedia(f"{_name(filename)} is called a PDF but does not begin like one.")
    if _is_binary(head):
        raise UnsupportedMedia(f"{_name(filename)} is a binary file of a type that cannot be read.")
    if re.match(rb"\s*(<!doctype html|<html)", head.removeprefix(_BOMS[0]), re.IGNORECASE):
        return HTML
    return named or said or TEXT


def parse(body: bytes, media_type: str, filename: str | None) -> Parsed:
    """Title and text; raises `DocumentRejected` saying why: empty, broken, encrypted, or without text."""
    if not body.strip():
        raise DocumentRejected(f"{_name(filename)} is empty.")
    if media_type == PDF:
        parsed = _pdf(body, filename)
    elif media_type == HTML:
        parsed = _html(body)
    elif media_type in (TEXT, MARKDOWN):
        text = _decoded(body, filename)
        parsed = Parsed(_first_heading(text) if media_type == MARKDOWN else None, text)
    else:
        raise DocumentRejected(f"{_name(filename)} has the type {media_type}, which cannot be read.")
    text = _clean(parsed.text)
    if not any(character.isalnum() for character in text):
        reason = "a scan needs text recognition first" if media_type == PDF else "there are no words in it"
        raise DocumentRejected(f"{_name(filename)} has no text: {reason}.")
    title = " ".join(_clean(parsed.title or "").split())[:_MAX_TITLE_CHARACTERS]
    return Parsed(title or None, text)


def parse_apart(body: bytes, media_type: str, filename: str | None) -> Parsed:
    """As `parse`, with HTML and PDF in a child process of 60 s and 1 GB; a child that dies rejects the document."""
    if media_type not in (HTML, PDF):
        return parse(body, media_type, filename)
    command = [sys.executable, "-m", "app.rag.parse", media_type, filename or "", str(APART_SECONDS), str(APART_MEMORY_BYTES)]
    try:
        child = subprocess.run(command, input=body, capture_output=True, timeout=APART_SECONDS, check=False)  # noqa: S603
    except subprocess.TimeoutExpired:
        raise DocumentRejected(f"{_name(filename)} is broken: reading it took more than {APART_SECONDS} s.") from None
    try:
        answer = json.loads(child.stdout)
    except ValueError:
        raise DocumentRejected(f"{_name(filename)} is broken: its reader needed too much memory or crashed.") from None
    if "rejected" in answer:
        raise DocumentRejected(answer["rejected"])
    return Parsed(answer["title"], answer["text"])


def _decoded(body: bytes, filename: str | None) -> str:
    for bom, encoding in zip(_BOMS, ("utf-8-sig", "utf-16", "utf-16"), strict=True):
        if body.startswith(bom):
            return body.decode(encoding, errors="replace")
    try:
        return body.decode("utf-8")
    except UnicodeDecodeError:
        pass
    from charset_normalizer import from_bytes

    best = from_bytes(body).best()
    if best is None:
        raise DocumentRejected(f"{_name(filename)} is broken: its character encoding is none that is known.")
    return str(best)


def _html(body: bytes) -> Parsed:
    from bs4 import BeautifulSoup

    page = BeautifulSoup(body, "html.parser")
    title = page.title.get_text(" ") if page.title else None
    for tag in page(list(_DROPPED_TAGS)):
        tag.clear()
    for tag in page(list(_HEADINGS)):
        heading = " ".join(tag.get_text(" ").split())
        title = title or heading
        tag.string = f"\n\n{_HEADINGS[tag.name]}{heading}\n\n" if heading else ""
    for tag in page("br"):
        tag.append("\n")  # inside the tag: beside it would search the parent each time
    for tag in page(["p", "div", "li", "tr", "pre", "blockquote", "section", "article", "table", "ul", "ol", "dt", "dd"]):
        tag.insert(0, "\n\n" if tag.name != "li" else "\n")
        tag.append("\n\n" if tag.name != "li" else "\n")
    return Parsed(title, (page.body or page).get_text())


def _pdf(body: bytes, filename: str | None) -> Parsed:
    import logging

    from pypdf import PdfReader
    from pypdf.errors import PyPdfError

    logging.getLogger("pypdf").setLevel(logging.CRITICAL)  # its repairs of sloppy files are no news to anybody
    try:
        reader = PdfReader(io.BytesIO(body))
        if reader.is_encrypted and not reader.decrypt(""):
            raise DocumentRejected(f"{_name(filename)} is encrypted: send it without a password.")
        title = reader.metadata.title if reader.metadata else None
        return Parsed(title, "\n\n".join(page.extract_text() or "" for page in reader.pages))
    except DocumentRejected:
        raise
    except MemoryError:
        raise DocumentRejected(f"{_name(filename)} is broken: reading it needs too much memory.") from None
    except PyPdfError as error:
        raise DocumentRejected(f"{_name(filename)} is broken: {error}.") from error
    except Exception as error:  # pypdf raises whatever a damaged file leads it into
        raise DocumentRejected(f"{_name(filename)} is broken: {type(error).__name__}: {error}.") from error


def _first_heading(text: str) -> str | None:
    found = re.search(r"^ {0,3}#{1,6}[ \t]+(.+?)[ \t]*#*[ \t]*$|^(\S[^\n]*)\n(?:=+|-+)[ \t]*$", text, re.MULTILINE)
    return (found[1] or found[2]) if found else None


def _clean(text: str) -> str:
    text = text.replace("\r\n", "\n").replace("\r", "\n").replace("\x0c", "\n\n").replace("\x00", "")
    text = text.encode("utf-8", errors="replace").decode()  # lone surrogates from broken fonts cannot be stored
    text = re.sub(r"[ \t\u00a0]+\n", "\n", text)
    return re.sub(r"\n{3,}", "\n\n", text).strip()


def _is_binary(head: bytes) -> bool:
    if head.startswith(_BOMS[1:]):
        return False
    sample = head[:8192]
    odd = sum(byte < 32 and byte not in b"\t\n\r\x0c\x1b" for byte in sample)
    return b"\x00" in sample or odd > len(sample) * _BINARY_SHARE


def _name(filename: str | None) -> str:
    return f"The file {filename[:100]!r}" if filename else "The document"


def _main(media_type: str, filename: str, seconds: str, memory_bytes: str) -> None:
    import resource

    resource.setrlimit(resource.RLIMIT_AS, (int(memory_bytes), int(memory_bytes)))
    resource.setrlimit(resource.RLIMIT_CPU, (int(seconds), int(seconds)))
    answer: dict[str, str | None]
    try:
        parsed = parse(sys.stdin.buffer.read(), media_type, filename or None)
        answer = {"title": parsed.title, "text": parsed.text}
    except DocumentRejected as rejection:
        answer = {"rejected": rejection.detail}
    except (MemoryError, RecursionError) as error:
        answer = {"rejected": f"{_name(filename)} is broken: {type(error).__name__} while reading it."}
    sys.stdout.write(json.dumps(answer))


if __name__ == "__main__":
    _main(*sys.argv[1:5])
