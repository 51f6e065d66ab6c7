"""The questions of simulated users, each with the page of the corpus that answers it.
They are fixed, so that all runs ask the same."""

from __future__ import annotations

import functools
import json
import random
from dataclasses import dataclass
from pathlib import Path
from typing import Final

DEFAULT: Final = Path(__file__).with_name("questions.jsonl")  # about Django 5.2's documentation, the corpus of `teal up`
# The share of questions that are asked unchanged, so that a cache may answer.
# An assumption, as there are no logs of real users yet.
REPEATED: Final = 0.3


@dataclass(frozen=True, slots=True)
class LoadQuestion:
    """`source`: a part of the document's source that holds the answer; empty: unknown."""

    text: str
    source: str = ""


@functools.cache  # all users of a load test share them
def load_questions(path: Path) -> tuple[LoadQuestion, ...]:
    """Read a file of lines {"question", "source"?}. Raises ValueError with the first invalid line, or when there is none."""
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
    """The question unchanged, or seven times in ten with a unique number, so that no cache has its answer."""
    return question.text if chance.random() < REPEATED else f"{question.text} ({chance.randrange(10**9)})"
