"""Splits a text into blocks: headings, code, tables, list items and paragraphs, by Markdown's rules as far as cutting needs them.

The text is a user's, so it is read in one pass and no pattern can backtrack on a line.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final, Literal

Kind = Literal["heading", "code", "table", "item", "paragraph"]
# Every pattern begins with \A, so that it is tried only at the beginning of a line and not at every position of a long one.
_HEADING: Final = re.compile(r"\A {0,3}(#{1,6})[ \t]+\S")
_FENCE: Final = re.compile(r"\A {0,8}(`{3,20}|~{3,20})")
_ITEM: Final = re.compile(r"\A[ \t]{0,16}(?:[-*+•]|\d{1,9}[.)])[ \t]")
_KEY: Final = re.compile(r"\A[ \t]{0,16}[^\s:][^:\n]{0,60}: ")
_INDENTED: Final = re.compile(r"\A(?: {4}|\t)")
_TABLE_RULE: Final = frozenset("|-: \t+")
_LONGEST_HEADING: Final = 300
_UNDERLINE: Final = {"=": 1, "-": 2}


@dataclass(frozen=True, slots=True)
class TextBlock:
    """Consecutive lines of one kind. `level`: of a heading, else 0. `place`: the offset of its first character in
    the text. `gap`: a blank line precedes it. `head`: what a passage that continues the block repeats (the first
    line of a code fence, the head of a table)."""

    kind: Kind
    text: str
    place: int
    gap: bool
    level: int = 0
    head: str = ""


def blocks(text: str) -> Iterator[TextBlock]:
    """The blocks of a text, in order. Every line that is not blank is in exactly one block."""
    lines = text.split("\n")
    places, place = list[int](), 0
    for line in lines:
        places.append(place)
        place += len(line) + 1
    number, gap = 0, True
    while number < len(lines):
        if not lines[number].strip():
            number, gap = number + 1, True
            continue
        block, number = _next(lines, number, places, gap)
        yield block
        gap = False


def headings(text: str) -> Iterator[str]:
    """The text of each heading without its marks, in order."""
    for block in blocks(text):
        if block.kind == "heading":
            words = heading_words(block.text)
            if words:
                yield words


def heading_words(line: str) -> str:
    """A heading without its marks."""
    words = line.split("\n", 1)[0].strip()
    return words.lstrip("#").rstrip("#").strip() if words.startswith("#") else words


def _next(lines: list[str], first: int, places: list[int], gap: bool) -> tuple[TextBlock, int]:
    line = lines[first]
    if fence := _FENCE.match(line):
        last = _fence_end(lines, first, fence[1])
        return TextBlock("code", "\n".join(lines[first:last]), places[first], gap, head=line), last
    if found := _HEADING.match(line):
        return TextBlock("heading", line.strip(), places[first], gap, len(found[1])), first + 1
    if level := _underlined(lines, first):
        return TextBlock("heading", "\n".join(lines[first : first + 2]), places[first], gap, level), first + 2
    if _is_table(lines, first):
        last = _while(lines, first, lambda one: one.lstrip().startswith("|"))
        return TextBlock(
            "table", "\n".join(lines[first:last]), places[first], gap, head="\n".join(lines[first : first + 2])
        ), last
    if gap and _INDENTED.match(line):
        last = _while(lines, first, lambda one: not one.strip() or _INDENTED.match(one) is not None)
        while not lines[last - 1].strip():
            last -= 1
        return TextBlock("code", "\n".join(lines[first:last]), places[first], gap), last
    # In running text a colon means little, but in a list of keys and values each key begins an item.
    keyed = _KEY.match(line) is not None
    last = first + 1
    while last < len(lines) and not _starts_something(lines, last, keyed):
        last += 1
    return TextBlock(
        "item" if keyed or _ITEM.match(line) else "paragraph", "\n".join(lines[first:last]), places[first], gap
    ), last


def _starts_something(lines: list[str], number: int, keyed: bool) -> bool:
    line = lines[number]
    if not line.strip() or _FENCE.match(line) or _HEADING.match(line) or _ITEM.match(line) or (keyed and _KEY.match(line)):
        return True
    return _is_table(lines, number)


def _is_table(lines: list[str], number: int) -> bool:
    if not lines[number].lstrip().startswith("|") or number + 1 >= len(lines):
        return False
    below = lines[number + 1]
    return "-" in below and "|" in below and _TABLE_RULE.issuperset(below)


def _underlined(lines: list[str], number: int) -> int:
    """The level of a heading that is marked by a rule on the line below it; 0 when the line is no such heading."""
    if number + 1 >= len(lines) or len(lines[number]) > _LONGEST_HEADING or lines[number][:1] in " \t|-=*+>":
        return 0
    below = lines[number + 1].rstrip()
    if len(below) < 3 or below[0] not in _UNDERLINE or below.strip(below[0]):
        return 0
    return _UNDERLINE[below[0]]


def _fence_end(lines: list[str], first: int, fence: str) -> int:
    for number in range(first + 1, len(lines)):
        line = lines[number].strip()
        if line.startswith(fence) and not line.strip(fence[0]):
            return number + 1
    return len(lines)


def _while(lines: list[str], first: int, holds: Callable[[str], bool]) -> int:
    last = first + 1
    while last < len(lines) and holds(lines[last]):
        last += 1
    return last
