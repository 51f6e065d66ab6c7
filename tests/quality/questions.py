"""The questions of `answers.jsonl`, and when an answer to one of them is right.

Each line is a question about small files in `documents/`. `expect` says what a good answer is:

- `answer`: it holds one of `accepted`, and none of `wrong`, which are what neighbours of the asked thing say;
- `conflict`: two versions of a document disagree; it holds one of `newer` and one of `older`, so that the reader sees both;
- `unanswerable`: no document says it, and the service says that it does not know. `files` is what tempts it.

`split` is `dev`, which the service may be tuned on, or `held-out`, which it may not. No file is in both.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

from pydantic import TypeAdapter

DOCUMENTS: Final = Path(__file__).with_name("documents")
ANSWERS: Final = Path(__file__).with_name("answers.jsonl")

_SPACED: Final = (
    "[a-z\u00df-\u04ff\u0620-\u064a\u0671-\u06d3]"  # letters of scripts that write words apart: Latin, Greek, Cyrillic, Arabic
)

Expect = Literal["answer", "conflict", "unanswerable"]
Outcome = Literal["right", "wrong", "don't know", "missed"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """`files`: names in `documents/`; of a conflict the newer one first. `language`: ISO 639-1."""

    id: str
    question: str
    language: str
    files: tuple[str, ...]
    split: Literal["dev", "held-out"]
    expect: Expect
    accepted: tuple[str, ...] = ()
    wrong: tuple[str, ...] = ()
    newer: tuple[str, ...] = ()
    older: tuple[str, ...] = ()

    @property
    def format(self) -> str:
        """The suffix of its (first) file."""
        return Path(self.files[0]).suffix.removeprefix(".")

    @property
    def wanted(self) -> str:
        """What a right answer holds, for the reader of a report."""
        by_kind = {
            "answer": " or ".join(self.accepted),
            "conflict": f"{self.newer[0]} and {self.older[0]}" if self.newer else "",
            "unanswerable": "I don't know",
        }
        return by_kind[self.expect]


def load(path: Path = ANSWERS) -> list[Question]:
    """Every question, in the file's order."""
    read = TypeAdapter(Question).validate_json
    return [read(line) for line in path.read_text(encoding="utf-8").splitlines()]


def judge(asked: Question, answer: str, *, grounded: bool) -> Outcome:
    """`wrong` is a grounded answer that does not hold what it should, or that answers what no document says; `missed` is
    "I don't know" about what a document says, and `don't know` the same about what none says. An answer that is not grounded
    claims nothing and counts as "I don't know"."""
    if not grounded:
        return "don't know" if asked.expect == "unanswerable" else "missed"
    match asked.expect:
        case "answer":
            good = holds(answer, asked.accepted) and not holds(answer, asked.wrong)
        case "conflict":
            good = holds(answer, asked.newer) and holds(answer, asked.older)
        case "unanswerable":
            good = False
    return "right" if good else "wrong"


def holds(answer: str, alternatives: Sequence[str]) -> bool:
    """Whether the answer has one of the alternatives as a whole: 6.10 is not in 16.10, nor "four" in "fourteen". Letter case,
    width, kinds of space and Arabic vowel marks do not matter; Chinese and Japanese have no spaces between words."""
    text = _plain(answer)
    return any(re.search(_bounded(_plain(one)), text) is not None for one in alternatives)


def _bounded(words: str) -> str:
    before = r"(?<![0-9])(?<![0-9][.,])" if words[0].isdigit() else f"(?<!{_SPACED})" if re.match(_SPACED, words[0]) else ""
    after = r"(?![0-9])(?![.,][0-9])" if words[-1].isdigit() else f"(?!{_SPACED})" if re.match(_SPACED, words[-1]) else ""
    return before + re.escape(words) + after


def _plain(text: str) -> str:
    folded = unicodedata.normalize("NFKC", text).casefold()
    return " ".join("".join(one for one in folded if unicodedata.category(one) not in ("Mn", "Cf")).split())
