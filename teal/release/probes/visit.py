"""What a behaviour probe is given, and what it is: one question about how a color behaves, asked through the load balancer as users ask."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

import httpx

from teal.client.probe import ProbeFailed, Prober
from teal.errors import OperatorError

COLLECTION: Final = "teal-probe"  # the probes' own documents; nobody else's are there


class WrongBehaviour(OperatorError):
    """A color answers, and wrongly."""

    code = "misbehaved"

    def __init__(self, what: str) -> None:
        super().__init__(what, where="behaviour probes", next="teal history")


@dataclass(frozen=True, slots=True)
class ProbeVisit:
    """One visit to one color. `writer` sees everything; `bound` is the key of another tenant, who has `COLLECTION` and nothing else.

    `mark` is a word that nobody ever wrote. `wait` sleeps a moment and says whether there is time left.
    `secret`: the text of the bound key. `held` and `logged`: what the color's processes hold, and whether they wrote a text; None where
    nobody can see that (teal/ports/inside.py).
    """

    writer: Prober
    bound: Prober
    questions: tuple[str, ...]
    mark: str
    wait: Callable[[], bool]
    secret: str = ""
    held: Callable[[], Mapping[str, float]] | None = None
    logged: Callable[[str], bool] | None = None


@dataclass(frozen=True, slots=True)
class Probe:
    """`ask` raises WrongBehaviour when the color is wrong, and ProbeFailed when it does not answer. `always`: a color that misbehaves so is refused
    although the active one does it too; else it is not the new version's doing. `again`: also after each shift.
    The page's files and a color's worker are the same for every share, and an upload takes a second; its users' uploads have a gate."""

    name: str
    says: str
    ask: Callable[[ProbeVisit], None]
    always: bool = False
    again: bool = True


def answered(prober: Prober, method: str, path: str, expected: int = 200, **options: Any) -> Any:
    """The JSON of an answer with this status. Raises ProbeFailed for any other."""
    found = _called(prober, method, path, expected, **options)
    return found.json() if found.content else None


def ask_streamed(prober: Prober, question: str) -> list[tuple[str, dict[str, Any]]]:
    """The events of a streamed answer, as they came. A stream that breaks off ends the list. Raises ProbeFailed when none begins."""
    return list(_events(_called(prober, "POST", "/v1/ask", 200, json={"question": question, "stream": True}).text))


def _called(prober: Prober, method: str, path: str, expected: int, **options: Any) -> httpx.Response:
    found = prober.call(method, path, **options)
    if found.status_code != expected:
        raise ProbeFailed(f"{method} {path}: {found.status_code}: {found.text[:200]}", where=path, next="teal logs app")
    return found


def _events(text: str) -> Iterator[tuple[str, dict[str, Any]]]:
    name = ""
    for line in text.splitlines():
        field, _, value = line.partition(": ")
        if field == "event":
            name = value
        elif field == "data":
            try:
                yield name, dict(json.loads(value))
            except (ValueError, TypeError):
                yield "unreadable", {}
