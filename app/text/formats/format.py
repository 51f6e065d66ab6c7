"""What a format says of itself. Each file in this folder makes one `FORMAT`; `__init__` lists them."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from app.text.document import ParsedDocument

# Titles that programs write when nobody gave one: their own words, and the file's old name.
NO_TITLE: Final = re.compile(
    r"\A(?:microsoft (?:word|powerpoint|excel) - .{0,200}|(?:untitled|unbenannt).{0,20}|(?:document|dokument)\d{0,4})",
    re.IGNORECASE,
)
Read = Callable[[bytes, str | None], ParsedDocument]


@dataclass(frozen=True, slots=True)
class Format:
    """`suffixes` without the dot. `declared`: what clients send as its media type besides `media_type`.

    `read` takes the bytes and a file name for its messages, and raises `DocumentRejected`. `libraries`: modules it imports, which
    the reading process loads once, before it forks for a document. `text`: whether the bytes are text in some encoding. `archive_mark`, of
    a format that is a zip archive: what stands near the beginning of its files, the name of a part or the type that it states.
    """

    name: str
    media_type: str
    suffixes: tuple[str, ...]
    read: Read
    declared: tuple[str, ...] = ()
    libraries: tuple[str, ...] = ()
    text: bool = False
    archive_mark: bytes | None = None
