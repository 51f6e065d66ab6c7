"""The types of behaviour probes. A probe checks one aspect of a color's behaviour by requests through the load balancer,
as users send them."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

import httpx

from teal.client.probe import ProbeFailed, Prober
from teal.errors import OperatorError

COLLECTION: Final = "teal-probe"  # contains only the probes' own documents


class WrongBehaviour(OperatorError):
    """A color answers a probe, but wrongly."""

    code = "misbehaved"

    def __init__(self, what: str) -> None:
        super().__init__(what, where="behaviour probes", next="teal history")


@dataclass(frozen=True, slots=True)
class ProbeVisit:
    """What a probe gets for one visit to one color.
    `writer` may read everything; `bound` is another tenant, limited to `COLLECTION`.

    `mark` is a random word that occurs in no document. `wait` sleeps a moment and returns whether time is left. `secret`: the
    text of the bound key. `held` and `logged`: the methods of teal/ports/inside.py for this color;
    None where they are not available.
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
    """One behaviour probe. `ask` raises WrongBehaviour when the color behaves wrongly, and ProbeFailed when it does not answer.
    `always`: the release fails even if the active color misbehaves in the same way; otherwise only if the active color does not.
    `again`: repeated after each shift. It is off for probes whose result does not depend on the share, such as the page's files,
    and for the upload, which takes a second and which a gate watches for users."""

    name: str
    says: str
    ask: Callable[[ProbeVisit], None]
    always: bool = False
    again: bool = True


def answered(prober: Prober, method: str, path: str, expected: int = 200, **options: Any) -> Any:
    """Send a request and return the JSON of its response. Raises ProbeFailed for any status other than `expected`."""
    found = _called(prober, method, path, expected, **options)
    return found.json() if found.content else None


def ask_streamed(prober: Prober, question: str) -> list[tuple[str, dict[str, Any]]]:
    """The events of a streamed answer in order. A broken stream ends the list. Raises ProbeFailed when no stream begins."""
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
