"""All that `teal` writes on a terminal goes through here, and nothing in it can give the terminal an order.

Titles, answers, error texts and log lines come from documents and from other machines. An escape sequence in one of them could write the
clipboard, the window's title or over what stands above; a change of the reading direction shows another word than the one that is there.
Such characters are shown by their number instead. JSON is written as it is: its escapes are exact and harmless.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterable
from typing import Any, Final

from rich.console import Console, ConsoleOptions, RenderableType
from rich.segment import Segment

# C0 but tab and line end, delete, C1, embeddings, overrides and isolates of direction, and halves of characters, which no terminal takes.
_ORDERS: Final = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")


def visible_text(text: str) -> str:
    """The text with every character that is an order shown by its number, as Python writes it."""
    return _ORDERS.sub(_shown, text)


def _shown(found: re.Match[str]) -> str:
    number = ord(found[0])
    return f"\\x{number:02x}" if number < 0x100 else f"\\u{number:04x}"


def say(text: object = "", *, error: bool = False, end: str = "\n") -> None:
    """Write text for people, on standard output or standard error."""
    print(visible_text(str(text)), end=end, file=sys.stderr if error else sys.stdout, flush=True)


def say_json(value: object) -> None:
    """Write one line for programs. JSON's own escapes keep every character, and none is an order."""
    print(json.dumps(value, default=str).replace("\x7f", "\\u007f"), flush=True)


class _Terminal(Console):
    """A console whose texts are plain; what it writes itself (colors, a bar that is drawn again) stays an order."""

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterable[Segment]:
        for segment in super().render(renderable, options):
            harmless = segment.control or not _ORDERS.search(segment.text)
            yield segment if harmless else Segment(visible_text(segment.text), segment.style)


def terminal_console(**options: Any) -> Console:
    """A rich console for people."""
    return _Terminal(highlight=False, **options)
