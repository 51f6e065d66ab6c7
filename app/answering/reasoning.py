"""Removes a language model's reasoning (`<think>` and similar tags) from its stream, so that it is never shown."""

from __future__ import annotations

import re
from typing import Final

_OPEN: Final = re.compile(r"<\s*(think|thinking|thought|reasoning|reflection)\s*>", re.IGNORECASE)
_CLOSE: Final = re.compile(r"<\s*/\s*(?:think|thinking|thought|reasoning|reflection)\s*>", re.IGNORECASE)
_LONGEST_TAG: Final = 16  # the most characters of a tag that may have arrived only in part


class Reasoning:
    """Filters the pieces of a stream; a tag may be split between pieces."""

    def __init__(self) -> None:
        self._held = ""
        self._within = False

    def feed(self, piece: str) -> str:
        """Add a piece; returns the text that is now known not to be reasoning."""
        self._held += piece
        shown: list[str] = []
        while True:
            found = (_CLOSE if self._within else _OPEN).search(self._held)
            if found is None:
                break
            if not self._within:
                shown.append(self._held[: found.start()])
            self._held = self._held[found.end() :]
            self._within = not self._within
        last = self._held.rfind("<")
        waits = len(self._held) if last < 0 or len(self._held) - last > _LONGEST_TAG or ">" in self._held[last:] else last
        if not self._within:
            shown.append(self._held[:waits])
        self._held = self._held[waits:]
        return _CLOSE.sub("", "".join(shown))

    def rest(self) -> str:
        """End the stream; returns the remaining text, without reasoning whose tag was never closed."""
        rest, self._held = ("" if self._within else self._held), ""
        return rest
