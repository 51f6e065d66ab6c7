"""Table rows, and adjacent `key: value` lines, which form a row too."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from typing import Final

from app.text.blocks import TextBlock, blocks

Cells = Sequence[tuple[str, str]]  # (head of the column, cell)

MOST_CHARACTERS: Final = 600  # the most in a piece; a limit for scripts without spaces and rows of wide tables
_RULE: Final = re.compile(r"^[\s|:+-]+$")
_CELL: Final = re.compile(r"(?<!\\)\|")


def rows_of(block: TextBlock) -> Iterator[tuple[tuple[tuple[str, str], ...], str]]:
    """(cells, the whole head) for each row of a table; each cell comes with the head of its column."""
    lines = [line for line in block.text.split("\n") if line.strip()]
    head = _cells(lines[0])
    for line in lines[1:]:
        if _RULE.match(line):
            continue
        cells = tuple((head[place] if place < len(head) else "", cell) for place, cell in enumerate(_cells(line)) if cell)
        if cells and len(row_text(cells)) <= MOST_CHARACTERS:
            yield cells, ", ".join(filter(None, head))


def row_text(cells: Cells) -> str:
    return ", ".join(f"{head}: {cell}" if head else cell for head, cell in cells)


def narrow_row(cells: Cells, wanted: Callable[[str], float]) -> str:
    """A row reduced to the columns that were asked for, if there are any: its first cell, the cells that match, and the columns
    whose heads match best. `wanted` returns how well a text matches the question, 0 for not at all."""
    heads = [wanted(head) for head, _ in cells]
    asked = [heads[place] for place, (_, cell) in enumerate(cells) if place and not wanted(cell)]
    best = max(asked, default=0.0)
    if not best or len(cells) < 3:
        return row_text(cells)
    kept = [one for place, one in enumerate(cells) if place == 0 or wanted(one[1]) or heads[place] == best]
    return row_text(kept)


def _cells(line: str) -> list[str]:
    return [" ".join(cell.replace(r"\|", "|").split()) for cell in _CELL.split(line.strip().removeprefix("|").removesuffix("|"))]


def runs_of(text: str) -> Iterator[list[tuple[str, str]]]:
    run: list[tuple[str, str]] = []
    for block in blocks(text):
        key, colon, value = block.text.partition(":")
        if block.kind != "item" or not colon or "\n" in block.text or not value.strip():
            key = ""
        if run and (block.gap or not key):
            yield run
            run = []
        if key:
            run.append((key, value))
    if run:
        yield run
