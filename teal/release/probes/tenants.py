"""A key that is bound to one collection never sees another's."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

from teal.release.probes.visit import COLLECTION, Probe, ProbeVisit, WrongBehaviour, answered

MODES: Final = ("hybrid", "lexical", "semantic")
TIMES: Final = 2  # repetitions of each question in each mode: 30 searches miss a fault in one search of five with 0.1 %


def ask(visit: ProbeVisit) -> None:
    for question in visit.questions * TIMES:
        for mode in MODES:
            found = visit.bound.call("POST", "/v1/search", json={"query": question, "mode": mode})
            if found.status_code == 200:  # without vectors the service refuses every search by meaning alone
                _refuse(found.json()["hits"], f"a search for {question!r}")
        _refuse(answered(visit.bound, "POST", "/v1/ask", json={"question": question})["citations"], f"an answer to {question!r}")
    for one in answered(visit.bound, "GET", "/v1/documents")["items"]:
        if one["collection"] != COLLECTION:
            raise WrongBehaviour(f"a key of {COLLECTION} alone is shown a document of {one['collection']}")


def _refuse(passages: Iterable[Mapping[str, Any]], what: str) -> None:
    """Raise WrongBehaviour for a passage of another collection.
    The key's own contains only the probes' document, without the questions' words."""
    for one in passages:
        if one.get("collection", "") != COLLECTION and one.get("title") != COLLECTION:
            raise WrongBehaviour(
                f"a key of {COLLECTION} alone gets a passage of another collection ({one.get('title')!r}) in {what}"
            )


TENANTS: Final = Probe("tenants", "a key of one collection sees no other", ask, always=True)
