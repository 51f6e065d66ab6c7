"""Control characters: those that command a terminal (C0, C1, escape), and those that change
the direction of the text around them."""

from __future__ import annotations

from typing import Final

# The directional embeddings, overrides and isolates, with which a name can be made to read backwards. The marks that
# right-to-left scripts need inside words (200E, 200F, 061C) are kept. Of the C0 set only tab and line end count as text.
DIRECTIONS: Final = (*range(0x202A, 0x202F), *range(0x2066, 0x206A))
_ORDERS: Final = dict.fromkeys([*range(9), *range(11, 32), *range(0x7F, 0xA0), *DIRECTIONS])
_ORDERS_IN_A_LINE: Final = {**_ORDERS, **dict.fromkeys((9, 10, 13, 0x2028, 0x2029), " "), 0: "\0"}


def without_controls(text: str) -> str:
    """The text without control characters; tabs and line ends are kept."""
    return text.translate(_ORDERS)


def one_line(text: str) -> str:
    """A text such as a title in one line: without control characters, and with spaces for tabs and line ends. NUL is kept,
    because later validation refuses it with its own message."""
    return text if text.isprintable() else text.translate(_ORDERS_IN_A_LINE)


def storable_line(text: str) -> str:
    """A message that quotes a file or a library, made storable: one line without control characters, NUL and
    lone surrogates, which databases refuse."""
    return one_line(text.encode("utf-8", errors="replace").decode()).replace("\0", "")
