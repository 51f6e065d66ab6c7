"""Sentences and their citations: what may reach the reader."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from app.rag.chunk import ends_in_abbreviation

_MARK: Final = re.compile(r"\[(\d{1,3})\]")
# A sentence ends at . ! or ?, with the citations behind it, before white space and no small letter ("e.g. this" goes on); or at a
# line break.
_END: Final = re.compile(r"[.!?][\"')\]]*(?:\s*\[\d{1,3}\])*(?=\s+[^a-z\s])|\n+")
_INCOMPLETE_MARKS: Final = re.compile(r"\s*(?:\[\d{1,3}\]\s*)*(?:\[\d{0,3})?$")


class Sentences:
    """Cuts a stream of text into whole sentences, keeping trailing [n] with the sentence they belong to."""

    def __init__(self) -> None:
        self._held = ""

    def feed(self, text: str) -> Iterator[str]:
        """The sentences that became whole with `text`."""
        self._held += text
        while (cut := self._cut()) is not None:
            sentence, self._held = self._held[:cut], self._held[cut:]
            if sentence.strip():
                yield sentence

    def rest(self) -> str:
        """What is left at the end of the stream."""
        rest, self._held = self._held, ""
        return rest

    def _cut(self) -> int | None:
        for found in _END.finditer(self._held):
            # Marks may follow in the next token ("... word. [1]"): wait until something else has come.
            if _INCOMPLETE_MARKS.fullmatch(self._held[found.end() :]):
                return None
            if not _MARK.search(found.group()) and ends_in_abbreviation(self._held[: found.end()]):
                continue
            following = _MARK.match(self._held[found.end() :].lstrip())
            if following is None:
                return found.end()
        return None


def cited(sentence: str, sources: int) -> list[int]:
    """The valid source numbers a sentence names, in order, each once."""
    numbers = (int(found) for found in _MARK.findall(sentence))
    return list(dict.fromkeys(number for number in numbers if 1 <= number <= sources))


def without_invented(sentence: str, sources: int) -> str:
    """The sentence with marks of sources that do not exist taken out."""
    return _MARK.sub(lambda found: found.group(0) if 1 <= int(found.group(1)) <= sources else "", sentence)
