"""Each behaviour probe passes a service that does well, and names what a bad one does."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import httpx
import pytest

from teal.client.probe import ProbeFailed, Prober
from teal.release.probes.citations import CITATIONS
from teal.release.probes.document import DOCUMENT
from teal.release.probes.grounded import GROUNDED
from teal.release.probes.growth import GROWTH, SEARCHES
from teal.release.probes.logs import LOGS
from teal.release.probes.page import PAGE
from teal.release.probes.registry import PROBES
from teal.release.probes.streams import STREAMS
from teal.release.probes.tenants import TENANTS
from teal.release.probes.visit import COLLECTION, Probe, ProbeVisit, WrongBehaviour

PASSAGE = {"document_id": "d1", "title": "Caching", "passage": "Use cache_page.", "collection": "default"}
FILES = {
    "/": ("text/html", '<link rel="stylesheet" href="/static/style.css"><script src="/static/app.js"></script>'),
    "/static/style.css": ("text/css", "a{}"),
    "/static/app.js": ("text/javascript", 'import { x } from "./api.js";'),
    "/static/api.js": ("text/javascript", "export const x = 1;"),
}


@dataclass
class Service:
    """A service with one document of the default collection, and what may be wrong with it."""

    leaks: bool = False
    lists_all: bool = False
    upload_status: int = 202
    indexes: bool = True
    finds: bool = True
    cites: bool = True
    forgets: bool = True
    last: str = "done"
    cited: Mapping[str, Any] = field(default_factory=lambda: PASSAGE)
    files: dict[str, tuple[str, str]] = field(default_factory=lambda: dict(FILES))
    uploaded: bool = False
    says: str = "Use cache_page."
    leaves_open: float = 0.0  # files, of each search
    keeps: float = 0.0  # bytes, of each search
    once: float = 5e7  # bytes that its first searches fill a pool with
    searches: int = 0
    writes_keys: bool = False

    def answer(self, request: httpx.Request) -> httpx.Response:
        bound = request.headers["Authorization"] == "Bearer bound"
        path = request.url.path
        self.searches += path == "/v1/search"
        if path in self.files:
            kind, text = self.files[path]
            return httpx.Response(200, text=text, headers={"Content-Type": kind})
        match request.method, path:
            case "POST", "/v1/documents/upload":
                self.uploaded = self.upload_status == 202
                return httpx.Response(self.upload_status, json={"id": "up", "status": "queued"})
            case "GET", "/v1/documents":
                return httpx.Response(200, json={"items": [{"collection": "default"}] if self.lists_all else []})
            case "GET", "/v1/documents/up":
                return httpx.Response(200, json={"status": "indexed" if self.indexes else "processing"})
            case "DELETE", _:
                self.uploaded = self.uploaded and not self.forgets
                return httpx.Response(204)
            case "POST", _:
                return self._found(json.loads(request.content), bound)
        return httpx.Response(404, json={})

    def _found(self, asked: Mapping[str, Any], bound: bool) -> httpx.Response:
        if bound:
            hits = [PASSAGE] if self.leaks else []
            return httpx.Response(200, json={"hits": hits, "citations": hits})
        if asked.get("stream"):
            events = [("retrieval", {"hits": [PASSAGE]}), ("citation", self.cited), (self.last, {"citations": [self.cited]})]
            return httpx.Response(200, text="".join(f"event: {name}\ndata: {json.dumps(data)}\n\n" for name, data in events))
        if asked.get("filters", {}).get("collections") == [COLLECTION]:
            there = [{"document_id": "up"}] if self.uploaded and self.finds else []
            return httpx.Response(200, json={"hits": there, "citations": there if self.cites else []})
        return httpx.Response(200, json={"hits": [PASSAGE], "citations": [PASSAGE], "answer": self.says, "grounded": True})

    def held(self) -> Mapping[str, float]:
        filled = self.once * min(1.0, self.searches / SEARCHES)
        return {"open files": 20 + self.leaves_open * self.searches, "bytes of memory": 1e8 + filled + self.keeps * self.searches}

    def logged(self, text: str) -> bool:
        return self.writes_keys and text == "bound"


def visit(service: Service) -> ProbeVisit:
    def prober(key: str) -> Prober:
        client = httpx.Client(base_url="https://color.test", transport=httpx.MockTransport(service.answer))
        return Prober(client, {"Authorization": f"Bearer {key}"})

    left = [3]

    def wait() -> bool:
        left[0] -= 1
        return left[0] > 0

    return ProbeVisit(
        prober("writer"),
        prober("bound"),
        ("How do I cache?", "How do I filter?"),
        "zzzmark",
        wait,
        "bound",
        service.held,
        service.logged,
    )


@pytest.mark.parametrize("probe", PROBES, ids=lambda probe: probe.name)
def test_a_service_that_does_well_passes(probe: Probe) -> None:
    service = Service()
    probe.ask(visit(service))
    assert not service.uploaded


INVENTED = "The governor announced yesterday that every bridge between islands would remain closed throughout winter."
BAD: tuple[tuple[Probe, Callable[[], Service], type[Exception], str], ...] = (
    (TENANTS, lambda: Service(leaks=True), WrongBehaviour, "gets a passage of another collection"),
    (TENANTS, lambda: Service(lists_all=True), WrongBehaviour, "is shown a document of default"),
    (DOCUMENT, lambda: Service(upload_status=500), ProbeFailed, "/v1/documents/upload: 500"),
    (DOCUMENT, lambda: Service(indexes=False), ProbeFailed, "was not indexed"),
    (DOCUMENT, lambda: Service(finds=False), WrongBehaviour, "is not found by search"),
    (DOCUMENT, lambda: Service(cites=False), WrongBehaviour, "not cited"),
    (DOCUMENT, lambda: Service(forgets=False), WrongBehaviour, "deleted is still found"),
    (STREAMS, lambda: Service(last="citation"), WrongBehaviour, "ended with citation, not with done"),
    (STREAMS, lambda: Service(last="error"), WrongBehaviour, "ended with error"),
    (CITATIONS, lambda: Service(cited=PASSAGE | {"passage": "Use cache_page."[::-1]}), WrongBehaviour, "not retrieved for it"),
    (CITATIONS, lambda: Service(cited=PASSAGE | {"document_id": "d2"}), WrongBehaviour, "not retrieved for it"),
    (GROUNDED, lambda: Service(says=INVENTED), WrongBehaviour, "is not what it cites"),
    (GROWTH, lambda: Service(leaves_open=1.0), WrongBehaviour, "1.0 more open files"),
    (GROWTH, lambda: Service(keeps=1e6), WrongBehaviour, "1,000,000.0 more bytes of memory"),
    (LOGS, lambda: Service(writes_keys=True), WrongBehaviour, "stands in its logs"),
    (PAGE, lambda: Service(files={"/": FILES["/"]}), WrongBehaviour, "/static/"),
    (
        PAGE,
        lambda: Service(files=FILES | {"/static/api.js": ("text/plain", "x")}),
        WrongBehaviour,
        "/static/api.js is 200, text/plain",
    ),
    (PAGE, lambda: Service(files=FILES | {"/static/style.css": ("text/css", "")}), WrongBehaviour, "0 bytes"),
)


@pytest.mark.parametrize(("probe", "bad", "error", "words"), BAD)
def test_what_a_bad_service_does_is_named(probe: Probe, bad: Callable[[], Service], error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=words):
        probe.ask(visit(bad()))


def test_where_nobody_sees_inside_the_processes_nothing_is_said_of_them() -> None:
    service = Service(leaves_open=1.0, writes_keys=True)
    for probe in (GROWTH, LOGS):
        probe.ask(replace(visit(service), held=None, logged=None))
    assert service.searches == 0
