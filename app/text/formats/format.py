"""The description of a format. Each module in this folder defines one `FORMAT`, and `__init__` lists them."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from app.text.document import ParsedDocument

# Titles that programs write when the author gave none: default words, and the file's former name.
NO_TITLE: Final = re.compile(
    r"\A(?:microsoft (?:word|powerpoint|excel) - .{0,200}|(?:document|dokument|documento|документ|文档|文書)\s?\d{0,4}|(?:word |new )?document"
    r"|(?:untitled|unbenannt|sans titre|sin título|senza titolo|sem título|naamloos|namnlös|uten (?:navn|tittel)|unavngivet|nimetön|bez názvu|bez tytułu|"
    r"névtelen|adsız|без (?:имени|названия|назви)|無題|无标题|未命名|제목 없음|무제|بدون عنوان|ללא שם).{0,20}"
    r"|(?:scan|scanned|img|image|dsc|skm|mfp|doc|copier)[\s_-]{0,3}\d[\d\s_-]{2,40})\Z",
    re.IGNORECASE,
)
Read = Callable[[bytes, str | None], ParsedDocument]


@dataclass(frozen=True, slots=True)
class Format:
    """A document format. `suffixes`: file suffixes without the dot. `declared`: other media types that clients send for it.

    `read` takes the file's bytes and a file name for messages, and raises `DocumentRejected`. `libraries`: modules that
    `read` imports; the child process loads them once, before it forks for a document. `text`: whether the bytes are text in
    some encoding. `archive_mark`: for a format that is a zip archive, bytes near the beginning of its files, such as the name
    of a part or the media type that it states.
    """

    name: str
    media_type: str
    suffixes: tuple[str, ...]
    read: Read
    declared: tuple[str, ...] = ()
    libraries: tuple[str, ...] = ()
    text: bool = False
    archive_mark: bytes | None = None
