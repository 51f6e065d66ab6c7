"""Detects the script of a text, as far as a model needs it."""

from __future__ import annotations

import unicodedata
from functools import lru_cache
from typing import Final

_MOSTLY: Final = 0.7  # a text with a name in another script still counts as Latin


@lru_cache(4096)
def _is_latin(letter: str) -> bool:
    return unicodedata.name(letter, "").startswith(("LATIN", "FULLWIDTH LATIN"))


def mostly_latin(text: str) -> bool:
    """Whether most letters are Latin; True for a text without letters."""
    if text.isascii():
        return True
    letters = [one for one in text if one.isalpha()]
    return sum(map(_is_latin, letters)) >= _MOSTLY * len(letters)
