"""The results of parsing and cutting, as plain data that the child process passes to the worker."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class ParsedDocument:
    """A parsed file. `title` is None when the file names none. `text`: Markdown, or plain
    text with blank lines between paragraphs.

    `pages`: the offset in `text`, in characters, at which each page of a paged file starts. `warnings`: sentences about
    parts of the file that could not be read. `metadata`: what the file says about itself, such as the front matter of Markdown.
    """

    title: str | None
    text: str
    pages: tuple[int, ...] = ()
    warnings: tuple[str, ...] = ()
    metadata: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ChunkLimits:
    """The target length of a passage and the overlap with the passage before it, in tokens."""

    target_tokens: int
    overlap_tokens: int


@dataclass(frozen=True, slots=True)
class Chunk:
    """One passage. `context`: the headings above it, and the head of a table it continues; never part of the text itself.

    `page`: the page it starts on, counted from 1; None when the file has no pages.
    """

    context: str
    text: str
    page: int | None = None

    @property
    def whole(self) -> str:
        """The text that is indexed and shown: the context and the passage."""
        return f"{self.context}\n{self.text}" if self.context else self.text


@dataclass(frozen=True, slots=True)
class CutDocument:
    """A file that was read and cut."""

    title: str | None
    chunks: tuple[Chunk, ...]
    warnings: tuple[str, ...] = ()
    metadata: Mapping[str, str] = field(default_factory=dict)
