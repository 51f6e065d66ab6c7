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

# Measured on 2026-11-22 with `python -m tests.quality.evidence`: docs/decisions/0005-weak-evidence.md has the table.
MIN_COSINE: Final = 0.40  # between the best unanswerable question (0.36) and the worst answerable one (0.44)
MIN_COSINE_WITH_ALL_WORDS: Final = 0.25  # identifiers and names: every word is there, though the meaning is not caught
MIN_COVERAGE_ALONE: Final = 0.75  # without vectors: at 0.67 unanswerable questions begin to pass


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
    """Whether to answer at all; `best_cosine` None means that only words were searched."""
    return accepts(best_cosine, coverage(question, passages))


def accepts(best_cosine: float | None, covered: float) -> bool:
    """The rule itself, on the two signals."""
    if best_cosine is None:
        return covered >= MIN_COVERAGE_ALONE
    return best_cosine >= MIN_COSINE or (covered == 1.0 and best_cosine >= MIN_COSINE_WITH_ALL_WORDS)
