"""Characters that are no text but orders: to a terminal (C0, C1, escape), or to the reading direction of everything around them."""

from __future__ import annotations

from typing import Final

# Of the C0 set only tab and line end are text. Direction: embeddings, overrides and isolates, with which a name can be made to read
# backwards; the marks that scripts from right to left need inside words (200E, 200F, 061C) stay.
DIRECTIONS: Final = (*range(0x202A, 0x202F), *range(0x2066, 0x206A))
_ORDERS: Final = dict.fromkeys([*range(9), *range(11, 32), *range(0x7F, 0xA0), *DIRECTIONS])
_ORDERS_IN_A_LINE: Final = {**_ORDERS, **dict.fromkeys((9, 10, 13, 0x2028, 0x2029), " "), 0: "\0"}


def without_controls(text: str) -> str:
    """The text without them; tabs and line ends stay."""
    return text.translate(_ORDERS)


def one_line(text: str) -> str:
    """What is shown in a line, such as a title: without them, tabs and line ends as spaces. NUL stays: it is refused by name, not mended."""
    return text if text.isprintable() else text.translate(_ORDERS_IN_A_LINE)


def storable_line(text: str) -> str:
    """A sentence of ours that quotes a file or a library: in one line, without orders, NUL and halves of characters, which no database takes."""
    return one_line(text.encode("utf-8", errors="replace").decode()).replace("\0", "")
