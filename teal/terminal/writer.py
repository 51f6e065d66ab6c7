"""All terminal output of `teal` goes through this module, which lets no control sequence through.

Titles, answers, error texts and log lines come from documents and other machines. An escape sequence in them could change the
clipboard, the window's title or earlier output, and a change of the reading direction could show another word than the real one.
Such characters are shown by their number instead. JSON is written unchanged, because its own escapes are exact and harmless.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterable
from typing import Any, Final

from rich.console import Console, ConsoleOptions, RenderableType
from rich.segment import Segment

# C0 except tab and line end, delete, C1, the Unicode characters for text direction, and surrogates, which no terminal can show.
_ORDERS: Final = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")


def visible_text(text: str) -> str:
    """The text with every control character replaced by its number in Python's notation."""
    return _ORDERS.sub(_shown, text)


def _shown(found: re.Match[str]) -> str:
    number = ord(found[0])
    return f"\\x{number:02x}" if number < 0x100 else f"\\u{number:04x}"


def say(text: object = "", *, error: bool = False, end: str = "\n") -> None:
    """Write text for people, on standard output or standard error."""
    print(visible_text(str(text)), end=end, file=sys.stderr if error else sys.stdout, flush=True)


def say_json(value: object) -> None:
    """Write one line of JSON for programs. JSON's escapes keep every character and contain no control character."""
    print(json.dumps(value, default=str).replace("\x7f", "\\u007f"), flush=True)


class _Terminal(Console):
    """A console that makes all text plain, but keeps its own control sequences (colors, a redrawn bar)."""

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterable[Segment]:
        for segment in super().render(renderable, options):
            harmless = segment.control or not _ORDERS.search(segment.text)
            yield segment if harmless else Segment(visible_text(segment.text), segment.style)


def terminal_console(**options: Any) -> Console:
    """A rich console for people."""
    return _Terminal(highlight=False, **options)
