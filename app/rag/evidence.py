"""Is there enough in the passages to answer from? Plain functions on text and scores."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

_WORD: Final = re.compile(r"[^\W_]+(?:[-'.][^\W_]+)*", re.UNICODE)
# Words that carry a question's form, not its subject.
# fmt: off
_FORM: Final = frozenset(
    {
        "a", "about", "all", "also", "am", "an", "and", "any", "are", "as", "at", "be", "been", "being", "but", "by",
        "can", "could", "did", "do", "does", "doing", "done", "each", "explain", "for", "from", "get", "give", "had",
        "has", "have", "how", "i", "if", "in", "into", "is", "it", "its", "itself", "just", "let", "like", "make",
        "many", "me", "might", "more", "most", "much", "must", "my", "need", "no", "nor", "not", "of", "off", "on",
        "once", "one", "only", "or", "other", "our", "out", "over", "own", "please", "same", "shall", "she", "he",
        "should", "show", "so", "some", "such", "tell", "than", "that", "the", "their", "them", "then", "there",
        "these", "they", "this", "those", "through", "to", "too", "under", "until", "up", "use", "used", "uses",
        "using", "very", "want", "was", "way", "we", "were", "what", "when", "where", "which", "while", "who", "whom",
        "whose", "why", "will", "with", "would", "you", "your",
    }
)
# fmt: on

# Chosen on 2026-11-22 with `python -m tests.quality.evidence`; see docs/decisions/0005-weak-evidence.md for the table.
MIN_COSINE: Final = 0.42
MIN_COSINE_WITH_WORDS: Final = 0.30
MIN_COVERAGE: Final = 0.60


def stem(word: str) -> str:
    """A crude common root, enough to match plurals and verb forms of the same word."""
    for suffix in ("ations", "ation", "ings", "ing", "ies", "ed", "es", "s", "e", "y"):
        if word.endswith(suffix) and len(word) - len(suffix) >= 3:
            return word[: -len(suffix)]
    return word


def terms(text: str) -> frozenset[str]:
    """The stemmed subject words of a text."""
    return frozenset(stem(word) for word in _WORD.findall(text.lower()) if word not in _FORM)


def coverage(question: str, passages: Sequence[str]) -> float:
    """Largest share, in [0, 1], of the question's subject words that one passage contains."""
    asked = terms(question)
    if not asked:
        return 0.0
    return max((len(asked & terms(passage)) / len(asked) for passage in passages), default=0.0)


def is_enough(question: str, passages: Sequence[str], best_cosine: float | None) -> bool:
    """Whether to answer at all. Without vectors the words must carry it alone."""
    covered = coverage(question, passages)
    if best_cosine is None:
        return covered >= MIN_COVERAGE
    return best_cosine >= MIN_COSINE or (covered >= MIN_COVERAGE and best_cosine >= MIN_COSINE_WITH_WORDS)
