"""What reading and cutting give: plain data, passed from the child process that reads to the worker."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ParsedDocument:
    """A file as text. `title` None when the file names none. `text`: Markdown, or plain text with paragraphs apart by blank lines.

    `pages`: where each page of a paged file starts in `text`, in characters. `warnings`: sentences about what could not be read.
    """

    title: str | None
    text: str
    pages: tuple[int, ...] = ()
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ChunkLimits:
    """How long passages may be and how much each repeats of the one before, in tokens."""

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
        """What is indexed and shown."""
        return f"{self.context}\n{self.text}" if self.context else self.text


@dataclass(frozen=True, slots=True)
class CutDocument:
    """A file that was read and cut."""

    title: str | None
    chunks: tuple[Chunk, ...]
    warnings: tuple[str, ...] = ()
