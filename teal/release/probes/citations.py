"""What an answer cites is what was retrieved for it, word for word."""

from __future__ import annotations

from typing import Any, Final

from teal.release.probes.visit import Probe, ProbeVisit, WrongBehaviour, answered, ask_streamed


def ask(visit: ProbeVisit) -> None:
    for question in visit.questions:
        events = ask_streamed(visit.writer, question)
        hits = [hit for name, data in events if name == "retrieval" for hit in data.get("hits", ())]
        retrieved = {_key(hit) for hit in hits}
        cited = [one for name, data in events for one in ([data] if name == "citation" else data.get("citations", ()))]
        for one in cited:
            if _key(one) not in retrieved:
                raise WrongBehaviour(
                    f"an answer to {question!r} cites a passage of {one.get('title')!r} that was not retrieved for it"
                )
        _as_search_has_them(visit, question, hits)


def _as_search_has_them(visit: ProbeVisit, question: str, hits: list[dict[str, Any]]) -> None:
    """Compare a retrieved passage with the results of a search in its document.
    A passage that was altered on its way to the answer is not among them."""
    for hit in hits[:1]:
        body = {"query": hit["passage"][:500], "top_k": 50, "filters": {"document_ids": [hit["document_id"]]}}
        found = answered(visit.writer, "POST", "/v1/search", json=body)["hits"]
        if found and hit["passage"] not in [one["passage"] for one in found]:
            raise WrongBehaviour(f"a passage of {hit.get('title')!r} that was retrieved for {question!r} is not in that document")


def _key(passage: dict[str, Any]) -> tuple[str, str]:
    return str(passage.get("document_id")), str(passage.get("passage"))


CITATIONS: Final = Probe("citations", "what an answer cites was retrieved for it, word for word", ask)
