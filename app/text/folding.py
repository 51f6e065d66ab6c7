"""Folding: reduces spellings of the same word to one form, over case, width, ligatures, accents,
vowel marks and invisible characters."""

from __future__ import annotations

import unicodedata
from typing import Final

# Letters that Unicode does not decompose, with their usual spelling on a keyboard without them.
_SPELT: Final = str.maketrans(
    {"æ": "ae", "œ": "oe", "ø": "o", "ł": "l", "đ": "d", "ð": "d", "þ": "th", "ı": "i", "ى": "ي", "ة": "ه"}
    | dict.fromkeys("\u00ad\u0640\u200b\u200c\u200d\u2060\ufeff")
)
# Combining classes (Unicode, DerivedCombiningClass): accents have 200 or more, points of Hebrew and Arabic 10 to 35. Marks of
# lower classes make another letter in Japanese and in the scripts of India, and are kept.
_ACCENTS_FROM: Final = 200
_POINTS: Final = range(10, 36)


def fold(text: str) -> str:
    """The folded text. The index and the queries use the same folding."""
    if text.isascii():
        return text.lower()
    apart = unicodedata.normalize("NFD", unicodedata.normalize("NFKC", text).casefold())
    kept = (one for one in apart if (marked := unicodedata.combining(one)) < _ACCENTS_FROM and marked not in _POINTS)
    return unicodedata.normalize("NFC", "".join(kept)).translate(_SPELT)
