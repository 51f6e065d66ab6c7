"""An answer says what its cited passages say."""

from __future__ import annotations

import re
from typing import Any, Final

from teal.release.probes.visit import Probe, ProbeVisit, WrongBehaviour, answered

LEAST: Final = 0.5  # the share of an answer's words that occur in its cited passages; a model may rephrase, but not add facts
FEWEST: Final = 5  # content words that an answer must have to be judged
_WORD: Final = re.compile(r"[^\W\d_]{5,}")
STEM: Final = 5  # letters: "caches" and "cached" are one word here


def ask(visit: ProbeVisit) -> None:
    for question in visit.questions:
        answer = answered(visit.writer, "POST", "/v1/ask", json={"question": question})
        if not answer.get("grounded") or not answer["citations"]:
            continue
        said, held = _words(answer["answer"]), _words(question).union(*(_of(one) for one in answer["citations"]))
        if len(said) >= FEWEST and len(said & held) < LEAST * len(said):
            raise WrongBehaviour(f"the answer to {question!r} is not what it cites: {answer['answer'][:100]!r}")


def _of(passage: dict[str, Any]) -> set[str]:
    return _words(f"{passage.get('title', '')} {passage.get('passage', '')}")


def _words(text: str) -> set[str]:
    return {word[:STEM].lower() for word in _WORD.findall(text)}


GROUNDED: Final = Probe("grounded", "an answer says what its cited passages say", ask)
