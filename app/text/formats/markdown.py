"""Markdown, with front matter read as metadata and not as text."""

from __future__ import annotations

import re
from typing import Final

from app.text.blocks import headings
from app.text.document import ParsedDocument
from app.text.encoding import decode_text
from app.text.formats.format import Format

_FRONT_LINES: Final = 200  # a longer block between two rules is text and not front matter
# What a document's metadata may hold, as for metadata that its sender gives (app/http/schemas.py).
_MOST_KEYS: Final = 32
_LONGEST_VALUE: Final = 512
_ENTRY: Final = re.compile(r"\A([A-Za-z0-9_-]{1,64})[ \t]{0,8}[:=](?:[ \t]{1,8}(\S.{0,2000})|[ \t]{0,8})\Z")
_LISTED: Final = re.compile(r"\A[ \t]{0,8}-[ \t]{1,8}(\S.{0,500})\Z")


def read(body: bytes, filename: str | None) -> ParsedDocument:
    """Title from the front matter, or else the first heading. What else the front matter says is metadata."""
    front, text = _parted(decode_text(body, filename).replace("\r\n", "\n"))
    said = _metadata(front)
    return ParsedDocument(said.pop("title", None) or next(headings(text), None), text, metadata=said)


def _metadata(lines: list[str]) -> dict[str, str]:
    """The texts, numbers, dates and lists of texts on the first level of YAML or TOML; a list is joined by commas. Deeper levels
    are left out."""
    said, key = dict[str, str](), ""
    for line in lines:
        if line.startswith("["):  # a table of TOML: what follows is on a deeper level
            break
        if found := _ENTRY.match(line):
            key = found[1].lower()
            said[key] = _plain(found[2] or "")
        elif key and (item := _LISTED.match(line)):
            said[key] = ", ".join(filter(None, [said[key], _plain(item[1])]))
        elif not line[:1].isspace():
            key = ""
    return {key: value[:_LONGEST_VALUE] for key, value in list(said.items())[:_MOST_KEYS] if value}


def _plain(value: str) -> str:
    """A value without its quotation marks; of a list its items."""
    value = value.strip()
    if value.startswith("[") and value.endswith("]"):
        return ", ".join(filter(None, (_plain(item) for item in value[1:-1].split(","))))
    return value[1:-1] if len(value) > 1 and value[0] in "\"'" and value[-1] == value[0] else value.strip("\"'|>{}")


def _parted(text: str) -> tuple[list[str], str]:
    """(lines of front matter, the rest). YAML between `---`, TOML between `+++`."""
    rule = text[:3]
    if rule not in ("---", "+++") or text[3:4] != "\n":
        return [], text
    lines = text.split("\n", _FRONT_LINES)
    ends = ("---", "...") if rule == "---" else ("+++",)
    for number, line in enumerate(lines[1:_FRONT_LINES], 1):
        if line.rstrip() in ends:
            return lines[1:number], "\n".join(lines[number + 1 :])
        if not line.strip():
            break  # a rule above a paragraph, not front matter
    return [], text


FORMAT: Final = Format("Markdown", "text/markdown", ("md", "markdown"), read, declared=("text/x-markdown",), text=True)
