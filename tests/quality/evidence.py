"""How often weak evidence is admitted and good evidence used, on the laptop stack with its own corpus.

python -m tests.quality.evidence: thresholds are chosen on every other question of `evidence_questions.tsv` and reported on the rest.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import httpx

from app.answering.evidence import coverage, signals_suffice
from app.answering.question import read_question
from tests.quality import stack

_QUESTIONS = Path(__file__).with_name("evidence_questions.tsv")
_PASSAGES = 6  # as many as an answer is written from


@dataclass(frozen=True, slots=True)
class Measured:
    question: str
    answerable: bool
    cosine: float
    covered: float


def measure(client: httpx.Client) -> list[Measured]:
    """Ask the search for each question's evidence."""
    found = []
    for line in _QUESTIONS.read_text(encoding="utf-8").splitlines():
        answerable, question = line.split("\t")
        answer = client.post("/v1/search", json={"query": question, "top_k": 100, "explain": True})
        hits = answer.json()["hits"]
        cosine = max((hit["explain"].get("semantic_score", 0.0) for hit in hits), default=0.0)
        covered = coverage(read_question(question), [f"{hit['title']}\n{hit['passage']}" for hit in hits[:_PASSAGES]])
        found.append(Measured(question, answerable == "yes", round(cosine, 3), round(covered, 3)))
    return found


def errors(measured: list[Measured], accepts: Callable[[Measured], bool]) -> dict[str, int]:
    """Answerable questions refused and unanswerable ones answered."""
    return {
        "refused": sum(one.answerable and not accepts(one) for one in measured),
        "invented": sum(not one.answerable and accepts(one) for one in measured),
    }


def main() -> int:
    with stack.client() as client:
        measured = measure(client)
    for one in sorted(measured, key=lambda one: (one.answerable, one.cosine)):
        print(json.dumps({"answerable": one.answerable, "cosine": one.cosine, "coverage": one.covered, "question": one.question}))
    chosen_on, reported_on = measured[::2], measured[1::2]
    low = max(one.cosine for one in chosen_on if not one.answerable)
    high = min(one.cosine for one in chosen_on if one.answerable)
    print(json.dumps({"chosen on": len(chosen_on), "highest unanswerable cosine": low, "lowest answerable cosine": high}))
    for name, part in (("chosen on", chosen_on), ("reported on", reported_on)):
        meaning = errors(part, lambda one: signals_suffice(one.cosine, one.covered))
        words = errors(part, lambda one: signals_suffice(None, one.covered))
        print(json.dumps({"part": name, "questions": len(part), "with vectors": meaning, "by words alone": words}))
    return 0


if __name__ == "__main__":
    sys.exit(main())
