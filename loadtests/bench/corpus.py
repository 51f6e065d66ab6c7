"""Synthetic documents and queries: shuffled sentences of the Python reference, which every Python contains.
They serve to measure speed, not quality."""

from __future__ import annotations

import random
import re
from collections.abc import Iterator
from pydoc_data import topics
from typing import Final

_WORD: Final = re.compile(r"[A-Za-z]{4,12}")
_SENTENCE: Final = re.compile(r"(?<=[.!?])\s+(?=[A-Z])")
SENTENCES_PER_DOCUMENT: Final = (12, 28)  # two to three passages
WORDS_PER_QUERY: Final = (4, 9)


def _sentences() -> list[str]:
    text = " ".join(" ".join(one.split()) for one in topics.topics.values())
    return [sentence for sentence in _SENTENCE.split(text) if 40 <= len(sentence) <= 300]


def documents(count: int, seed: int) -> list[tuple[str, str]]:
    """(title, text) of `count` documents, no two alike."""
    choose, sentences = random.Random(seed), _sentences()  # noqa: S311 - not a secret
    return [
        (f"Document {number}", " ".join(choose.sample(sentences, choose.randint(*SENTENCES_PER_DOCUMENT))))
        for number in range(count)
    ]


def queries(seed: int) -> Iterator[str]:
    """Endless different queries: the words of one sentence in another order."""
    choose, sentences, seen = random.Random(seed), _sentences(), set[str]()  # noqa: S311 - not a secret
    while True:
        words = _WORD.findall(choose.choice(sentences))
        words = choose.sample(words, min(len(words), choose.randint(*WORDS_PER_QUERY)))
        query = " ".join(words)
        if len(words) >= WORDS_PER_QUERY[0] and query not in seen:
            seen.add(query)
            yield query
