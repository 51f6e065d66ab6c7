"""What is uploaded is found by search, cited by an answer, and gone once it is deleted."""

from __future__ import annotations

from typing import Any, Final

from teal.client.probe import ProbeFailed
from teal.release.probes.visit import COLLECTION, Probe, ProbeVisit, WrongBehaviour, answered


def ask(visit: ProbeVisit) -> None:
    text = f"The {visit.mark} is a machine that Teal checks itself with. The {visit.mark} weighs seven grams."
    sent = answered(
        visit.writer,
        "POST",
        "/v1/documents/upload",
        202,
        files={"file": (f"{visit.mark}.txt", text.encode(), "text/plain")},
        data={"collection": COLLECTION, "title": COLLECTION},
    )
    path = f"/v1/documents/{sent['id']}"
    try:
        while (state := answered(visit.writer, "GET", path)["status"]) != "indexed":
            if state == "failed" or not visit.wait():
                raise ProbeFailed(f"An uploaded file was not indexed: it is {state}", where=path, next="teal logs worker")
        _until(visit, lambda: sent["id"] in _found(visit), "what was uploaded is not found by search")
        cited = answered(visit.writer, "POST", "/v1/ask", json=_question(visit))["citations"]
        if sent["id"] not in [one["document_id"] for one in cited]:
            raise WrongBehaviour("what was uploaded is found by search and not cited by an answer about it")
    finally:
        visit.writer.call("DELETE", path)
    _until(visit, lambda: sent["id"] not in _found(visit), "what was deleted is still found by search")


def _question(visit: ProbeVisit) -> dict[str, Any]:
    return {"question": f"What does the {visit.mark} weigh?", "filters": {"collections": [COLLECTION]}}


def _found(visit: ProbeVisit) -> list[str]:
    body = {"query": visit.mark, "filters": {"collections": [COLLECTION]}}
    return [str(one["document_id"]) for one in answered(visit.writer, "POST", "/v1/search", json=body)["hits"]]


def _until(visit: ProbeVisit, there: Any, otherwise: str) -> None:
    while not there():
        if not visit.wait():
            raise WrongBehaviour(otherwise)


DOCUMENT: Final = Probe("document", "an uploaded file is found, cited, and gone when it is deleted", ask, again=False)
