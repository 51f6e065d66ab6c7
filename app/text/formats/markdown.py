"""Markdown, with front matter read as metadata and not as text."""

from __future__ import annotations

import re
from typing import Final

from app.text.blocks import headings
from app.text.document import ParsedDocument
from app.text.encoding import decode_text
from app.text.formats.format import Format

_FRONT_LINES: Final = 200  # a longer block between two rules is text and not front matter
_TITLE: Final = re.compile(r"title[ \t]{0,8}[:=][ \t]{0,8}(\S.{0,400})")


def read(body: bytes, filename: str | None) -> ParsedDocument:
    """Title from the front matter, or else the first heading."""
    front, text = _parted(decode_text(body, filename).replace("\r\n", "\n"))
    named = (found[1].strip().strip("\"'") for line in front if (found := _TITLE.match(line)))
    return ParsedDocument(next(named, None) or next(headings(text), None), text)


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
