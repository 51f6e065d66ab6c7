"""Chunking: cuts a text into passages along its structure, at sections, table rows, lines of code and sentences.

Each passage carries the headings above it and the head of a table that it continues, so
that it can be found and understood alone.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from app.text.blocks import TextBlock, blocks, heading_words
from app.text.document import Chunk, ChunkLimits, CutDocument, ParsedDocument
from app.text.parse import page_at
from app.text.sentences import sentences

_TOKEN: Final = re.compile(r"\w{1,16}|[^\w\s]")  # a longer word counts as several tokens, a base64 blob as very many
_BLANK_RUN: Final = re.compile(r"[^\S\n]{17,}")  # more spaces than any meaningful indentation
_JOIN: Final = {"sentence": " ", "line": "\n", "paragraph": "\n\n"}
_CONTEXT_SHARE: Final = 3  # headings and a table's head take at most a third of a passage
_SECTION_SHARE: Final = 4  # a section shorter than a quarter of a passage shares its passage with the next
_HEADING_CHARACTERS: Final = 200  # the most that is kept of each heading above a passage


@dataclass(frozen=True, slots=True)
class _Piece:
    """A run of text that is not cut further. `seam`: the kind of separator before it; `path`: the headings above it;
    `head`: the head of its table or code."""

    text: str
    tokens: int
    seam: str
    place: int
    path: tuple[str, ...]
    heading: bool = False
    head: str = ""


def count_tokens(text: str) -> int:
    """The number of words and punctuation marks: an estimate of an embedding model's token count without its tokenizer."""
    return len(_TOKEN.findall(text))


def cut_into_passages(parsed: ParsedDocument, cutting: ChunkLimits) -> CutDocument:
    """Cut a parsed file into passages."""
    chunks = chunk(parsed.text, target_tokens=cutting.target_tokens, overlap_tokens=cutting.overlap_tokens, pages=parsed.pages)
    return CutDocument(parsed.title, tuple(chunks), parsed.warnings, parsed.metadata)


def chunk(text: str, *, target_tokens: int, overlap_tokens: int, pages: tuple[int, ...] = ()) -> list[Chunk]:
    """Cut a text into passages of at most `target_tokens` tokens, context included. Deterministic; the passages are in order.

    Sentences, rows and lines of code stay whole unless one alone is longer than the target. A heading starts a passage and stays
    with the text below it. Within a section each passage repeats up to `overlap_tokens` tokens from the end of the one before.
    """
    if target_tokens < 1 or not 0 <= overlap_tokens < target_tokens:
        raise ValueError(f"needs 0 <= overlap_tokens < target_tokens, got {overlap_tokens} and {target_tokens}")
    passages: list[Chunk] = []
    current: list[_Piece] = []
    size = 0
    for piece in _pieces(text, target_tokens):
        if current:
            room = target_tokens - min(_context_tokens(current[0]), target_tokens // _CONTEXT_SHARE)
            all_headings = all(part.heading for part in current)
            # The piece belongs neither to the current section nor to the next section on the same level.
            leaves = piece.path not in (current[-1].path, current[-1].path[:-1])
            section_ends = piece.heading and not all_headings and (leaves or size * _SECTION_SHARE >= target_tokens)
            if section_ends or size + piece.tokens > (target_tokens if all_headings else room):
                passages.append(_chunk(current, size, target_tokens, pages))
                current = [] if piece.heading else _tail(current, min(overlap_tokens, target_tokens - piece.tokens))
                size = sum(part.tokens for part in current)
        current.append(piece)
        size += piece.tokens
    if current:
        passages.append(_chunk(current, size, target_tokens, pages))
    return passages


def _chunk(pieces: Sequence[_Piece], size: int, target_tokens: int, pages: tuple[int, ...]) -> Chunk:
    text = "".join((_JOIN[piece.seam] if place else "") + piece.text for place, piece in enumerate(pieces)).strip("\n")
    return Chunk(
        _context(pieces[0], min(target_tokens - size, target_tokens // _CONTEXT_SHARE)), text, page_at(pages, pieces[0].place)
    )


def _context_lines(piece: _Piece) -> list[str]:
    """The context of a piece, line by line: its headings, innermost last, then the head of its table."""
    return [*(f"{'#' * (level + 1)} {words}" for level, words in enumerate(piece.path)), *([piece.head] if piece.head else [])]


def _context_tokens(piece: _Piece) -> int:
    return sum(count_tokens(line) for line in _context_lines(piece))


def _context(piece: _Piece, room: int) -> str:
    """The lines of the context that fit into `room` tokens; the lines nearest to the text take precedence."""
    kept: list[str] = []
    for line in reversed(_context_lines(piece)):
        room -= count_tokens(line)
        if room < 0:
            break
        kept.append(line)
    return "\n".join(reversed(kept))


def _tail(pieces: list[_Piece], budget: int) -> list[_Piece]:
    kept: list[_Piece] = []
    for piece in reversed(pieces):
        if piece.tokens > budget or piece.heading:
            break
        budget -= piece.tokens
        kept.append(piece)
    kept.reverse()
    return kept if len(kept) < len(pieces) else kept[1:]


def _pieces(text: str, target_tokens: int) -> Iterator[_Piece]:
    path: list[tuple[int, str]] = []
    for block in blocks(text):
        if block.kind == "heading":
            while path and path[-1][0] >= block.level:
                path.pop()
        above = tuple(words for _, words in path)
        seam = "paragraph" if block.gap else "line"
        for unit in _units(block, target_tokens):
            for number, part in enumerate(_bounded(_BLANK_RUN.sub(" ", unit.text), target_tokens, spaced=block.kind == "code")):
                joint = "sentence" if number else seam
                yield _Piece(
                    part, count_tokens(part), joint, block.place + unit.offset, above, block.kind == "heading", unit.head
                )
            seam = unit.seam
        if block.kind == "heading":
            path.append((block.level, heading_words(block.text)[:_HEADING_CHARACTERS]))


@dataclass(frozen=True, slots=True)
class _Unit:
    """A unit of a block, such as a sentence or a line; blocks are cut only between units. `seam`: the kind of separator between
    it and the next unit; `head`: what a passage that starts with it repeats."""

    text: str
    offset: int
    seam: str
    head: str = ""


def _units(block: TextBlock, target_tokens: int) -> Iterator[_Unit]:
    if block.kind == "heading" or (block.kind == "code" and count_tokens(block.text) <= target_tokens):
        yield _Unit(block.text, 0, "line")
    elif block.kind in ("code", "table"):
        yield from _lines(block)
    else:
        offset = 0
        for sentence in sentences(block.text):
            offset = block.text.find(sentence, offset)
            yield _Unit(sentence, offset, "sentence")
            offset += len(sentence)


def _lines(block: TextBlock) -> Iterator[_Unit]:
    """One unit for each line that is not blank, together with the blank lines after it."""
    head_lines = block.head.count("\n") + 1 if block.head else 0
    held: list[str] = []
    offset = place = number = 0
    for line in block.text.split("\n"):
        if held and line.strip():
            yield _Unit("\n".join(held), offset, "line", block.head if number >= head_lines else "")
            number += 1
            held, offset = [], place
        held.append(line)
        place += len(line) + 1
    yield _Unit("\n".join(held), offset, "line", block.head if number >= head_lines else "")


def _bounded(unit: str, target_tokens: int, *, spaced: bool) -> Iterator[str]:
    """The unit, or slices of it at token borders when it exceeds `target_tokens`. `spaced`: leading spaces are significant."""
    spans = [token.span() for token in _TOKEN.finditer(unit)]
    if 0 < len(spans) <= target_tokens:
        yield unit.rstrip(" \t") if spaced else unit.strip()
    elif spans:
        for first in range(0, len(spans), target_tokens):
            last = min(first + target_tokens, len(spans)) - 1
            yield unit[spans[first][0] : spans[last][1]]
