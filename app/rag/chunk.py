"""Cuts a text into passages along its own seams: headings, paragraphs, sentences."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

_TOKEN: Final = re.compile(r"\w{1,16}|[^\w\s]")  # a longer word is several tokens to the model, a base64 blob very many
_HEADING: Final = re.compile(r" {0,3}#{1,6}[ \t]+\S")
_SENTENCE_END: Final = re.compile(r"(?<=[.!?…。！？])[\"'”’)\]]*\s+|(?<=[。！？])")
_ABBREVIATION: Final = re.compile(r"(?:\b(?:e\.g|i\.e|a\.m|p\.m|etc|cf|vs|al|Fig|Eq|No|Dr|Mr|Mrs|Ms|Prof|St|Vol|pp?)|\b[A-Z])\.$")
_ABBREVIATION_CHARACTERS: Final = 8  # the longest of them with its dot and a letter before it
_BLANK_RUN: Final = re.compile(r"[^\S\n]{17,}")  # deeper than any indentation that means something
_JOIN: Final = {"sentence": " ", "line": "\n", "paragraph": "\n\n"}


@dataclass(frozen=True, slots=True)
class _Piece:
    """A run of text that is not cut further; `seam`: what stands before it."""

    text: str
    tokens: int
    seam: str
    heading: bool = False


def count_tokens(text: str) -> int:
    """Words and punctuation marks: close to what embedding models count, without their tokenizer."""
    return len(_TOKEN.findall(text))


def chunk(text: str, *, target_tokens: int, overlap_tokens: int) -> list[str]:
    """Passages of at most `target_tokens` tokens, in order, the same for the same text.

    Whole sentences, unless one alone is longer than the target; a heading starts a passage and stays with what follows;
    each passage repeats up to `overlap_tokens` tokens of whole sentences from the end of the one before, within a section.
    """
    if target_tokens < 1 or not 0 <= overlap_tokens < target_tokens:
        raise ValueError(f"needs 0 <= overlap_tokens < target_tokens, got {overlap_tokens} and {target_tokens}")
    passages: list[str] = []
    current: list[_Piece] = []
    fresh = False  # whether `current` holds anything but repetition
    for piece in _pieces(text, target_tokens):
        size = sum(part.tokens for part in current)
        section_ends = piece.heading and fresh and not all(part.heading for part in current) and size * 4 >= target_tokens
        if fresh and (section_ends or size + piece.tokens > target_tokens):
            passages.append(_joined(current))
            current = [] if section_ends else _tail(current, min(overlap_tokens, target_tokens - piece.tokens))
        elif not fresh and size + piece.tokens > target_tokens:
            current = []
        current.append(piece)
        fresh = True
    if fresh:
        passages.append(_joined(current))
    return passages


def _tail(pieces: list[_Piece], budget: int) -> list[_Piece]:
    kept: list[_Piece] = []
    for piece in reversed(pieces):
        if piece.tokens > budget:
            break
        budget -= piece.tokens
        kept.insert(0, piece)
    return kept if len(kept) < len(pieces) else kept[1:]


def _joined(pieces: list[_Piece]) -> str:
    return "".join((_JOIN[piece.seam] if place else "") + piece.text for place, piece in enumerate(pieces))


def _pieces(text: str, target_tokens: int) -> Iterator[_Piece]:
    for paragraph in re.split(r"\n\s*\n", _BLANK_RUN.sub(" ", text)):
        seam = "paragraph"
        for block, heading in _blocks(paragraph):
            for sentence in sentences(block):
                for part in _bounded(sentence, target_tokens):
                    yield _Piece(part, count_tokens(part), seam, heading)
                    seam = "sentence"
            seam = "line"


def _blocks(paragraph: str) -> Iterator[tuple[str, bool]]:
    """Headings stand alone even where no blank line follows them."""
    lines: list[str] = []
    for line in paragraph.split("\n"):
        if _HEADING.match(line):
            if lines:
                yield "\n".join(lines), False
                lines = []
            yield line.strip(), True
        else:
            lines.append(line)
    if lines:
        yield "\n".join(lines), False


def ends_in_abbreviation(text: str) -> bool:
    """Whether the point at the end of `text` belongs to an abbreviation or an initial."""
    return _ABBREVIATION.search(text[-_ABBREVIATION_CHARACTERS:]) is not None


def sentences(block: str) -> Iterator[str]:
    """The sentences of a paragraph; an abbreviation's point ends none."""
    start = 0
    for end in _SENTENCE_END.finditer(block):
        if ends_in_abbreviation(block[start : end.start()]):
            continue
        sentence = block[start : end.end()].strip()
        if sentence:
            yield sentence
            start = end.end()
    rest = block[start:].strip()
    if rest:
        yield rest


def _bounded(sentence: str, target_tokens: int) -> Iterator[str]:
    """The sentence, or slices of it at token borders when it is longer than a passage may be."""
    spans = [token.span() for token in _TOKEN.finditer(sentence)]
    for first in range(0, len(spans), target_tokens):
        last = min(first + target_tokens, len(spans)) - 1
        yield sentence[spans[first][0] : spans[last][1]]
