"""What users ask: fixed questions, each with the page of the corpus that answers it, so that two runs ask the same."""

from __future__ import annotations

import functools
import json
import random
from dataclasses import dataclass
from pathlib import Path
from typing import Final

DEFAULT: Final = Path(__file__).with_name("questions.jsonl")  # about Django 5.2's documentation, the corpus of `teal up`
# Of all questions, how many are asked word for word as before, so that a cache may answer. A judgement: nobody has logs yet.
REPEATED: Final = 0.3


@dataclass(frozen=True, slots=True)
class LoadQuestion:
    """`source`: a part of the document's source that holds the answer; empty: unknown."""

    text: str
    source: str = ""


@functools.cache  # each user of a load test has them
def load_questions(path: Path) -> tuple[LoadQuestion, ...]:
    """Lines {"question", "source"?}. Raises ValueError with the line that is none, or when there are none."""
    found = []
    for number, line in enumerate(path.read_text(encoding="utf-8-sig").split("\n"), start=1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
            found.append(LoadQuestion(str(row["question"]), str(row.get("source") or "")))
        except (ValueError, KeyError, TypeError, AttributeError):
            raise ValueError(f'{path}, line {number}: not {{"question": ..., "source": ...}}') from None
    if not found:
        raise ValueError(f"{path} holds no question")
    return tuple(found)


def with_wording(question: LoadQuestion, chance: random.Random) -> str:
    """The question word for word, or, seven times in ten, with a number of its own, which no cache has seen."""
    return question.text if chance.random() < REPEATED else f"{question.text} ({chance.randrange(10**9)})"
