"""What the releaser asks of a color, against HTTP answers; and that what servers answer can not break the evidence page."""

from __future__ import annotations

import json
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import httpx
import pytest

from teal.client.entry import BYPASS_HEADER, ColorEndpoint
from teal.client.probe import GoldenQuestion, ProbeFailed, Prober, open_client, read_golden_questions
from teal.errors import BadInput
from teal.ports.target import GOLDEN
from teal.release.evidence.folder import page
from teal.release.runner import ReleaseFailed, ReleaseRequest, release
from tests.unit.teal.release.ports import Behaviour, World


def prober(answer: Callable[[httpx.Request], httpx.Response]) -> Prober:
    return Prober(
        httpx.Client(base_url="https://color.test", transport=httpx.MockTransport(answer)), {"Authorization": "Bearer k"}
    )


def answering(body: dict[str, Any], status: int = 200) -> Prober:
    return prober(lambda _: httpx.Response(status, json=body))


ANSWER = {"answer": "Use the Cache_Page decorator.", "citations": [{"title": "Caching", "passage": "seconds to cache"}]}


@pytest.mark.parametrize(
    ("asked", "passed", "why"),
    [
        (GoldenQuestion("q", ("cache_page",)), True, ""),
        (GoldenQuestion("q", ("seconds",), "Caching"), True, ""),
        (GoldenQuestion("q", ("cache_page", "absent")), False, "nothing about absent"),
        (GoldenQuestion("q", (), "Sessions"), False, "Sessions is not cited"),
    ],
)
def test_a_golden_answer_holds_its_words_and_cites_its_title(asked: GoldenQuestion, passed: bool, why: str) -> None:
    found, said = answering(ANSWER).passes(asked)
    assert found is passed
    assert why in said


@pytest.mark.parametrize("status", [401, 429, 500, 503])
def test_an_error_is_no_answer(status: int) -> None:
    with pytest.raises(ProbeFailed, match=str(status)):
        answering({"title": "no"}, status).passes(GoldenQuestion("q"))


def test_no_answer_at_all_is_said_in_words() -> None:
    def refuse(request: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError("refused", request=request)

    with pytest.raises(ProbeFailed, match="No answer: refused"):
        prober(refuse).passes(GoldenQuestion("q"))
    prober(refuse).sample((), 3, 0)  # samples are for counting: a failure is told by the analysis


def test_golden_questions_and_samples_bypass_the_caches_and_warming_does_not() -> None:
    seen: list[httpx.Request] = []

    def note(request: httpx.Request) -> httpx.Response:
        seen.append(request)
        return httpx.Response(200, json=ANSWER)

    asking = prober(note)
    asking.passes(GoldenQuestion("q"))
    asking.sample((GoldenQuestion("q"),), 3, 0)
    asking.warm((GoldenQuestion("q"),))
    assert [BYPASS_HEADER in request.headers for request in seen] == [True, True, True, True, False]
    assert [request.url.path for request in seen[1:4]] == ["/v1/search", "/v1/ask", "/v1/ask"]
    assert json.loads(seen[3].content)["stream"] is True
    assert all(request.headers["Authorization"] == "Bearer k" for request in seen)


def test_samples_of_streams_alone_are_streams() -> None:
    seen: list[httpx.Request] = []

    def note(request: httpx.Request) -> httpx.Response:
        seen.append(request)
        return httpx.Response(200, json=ANSWER)

    prober(note).sample((GoldenQuestion("q"),), 4, 0, streams_only=True)
    assert [json.loads(request.content).get("stream") for request in seen] == [True] * 4


def test_samples_end_with_the_first_request_that_nobody_answers() -> None:
    """A color that hangs would otherwise keep the releaser from looking for 30 s a sample."""
    seen: list[str] = []

    def hangs(request: httpx.Request) -> httpx.Response:
        seen.append(request.url.path)
        raise httpx.ReadTimeout("no answer", request=request)

    prober(hangs).sample((GoldenQuestion("q"),), 20, 0)
    assert seen == ["/v1/search"]


def test_a_probe_document_is_deleted_also_when_it_was_never_indexed() -> None:
    deleted: list[str] = []

    def answer(request: httpx.Request) -> httpx.Response:
        if request.method == "DELETE":
            deleted.append(request.url.path)
        return httpx.Response(202 if request.method == "POST" else 200, json={"id": "d1", "status": "processing"})

    with pytest.raises(ProbeFailed, match="it is processing"):
        prober(answer).ingest("r1", lambda: False)
    assert deleted == ["/v1/documents/d1"]


def test_a_client_sends_the_entry_s_headers_to_its_address() -> None:
    with open_client(ColorEndpoint("https://color.test", {"X-Teal-Probe": "s"})) as client:
        assert client.headers["X-Teal-Probe"] == "s"
        assert str(client.base_url) == "https://color.test"


def test_the_golden_questions_of_the_laptop_can_be_read_and_a_broken_line_is_named(tmp_path: Path) -> None:
    assert len(read_golden_questions(GOLDEN)) >= 5
    assert all(one.words for one in read_golden_questions(GOLDEN))
    broken = tmp_path / "golden.jsonl"
    broken.write_text('{"question": "fine"}\n{"words": []}\n')
    with pytest.raises(BadInput) as said:
        read_golden_questions(broken)
    assert said.value.where == f"{broken}:2"
    with pytest.raises(BadInput, match="can not be read"):
        read_golden_questions(tmp_path / "nowhere.jsonl")


class _Tags(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.seen: set[str] = set()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.add(tag)
        if tag != "meta":
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def test_what_a_server_answered_can_not_break_the_evidence_page() -> None:
    world = World()
    world.begin()
    world.put_image("<script>alert(1)</script>", Behaviour(errors=0.4))
    with pytest.raises(ReleaseFailed):
        list(release(world.process().target, ReleaseRequest(Path("."), image="<script>alert(1)</script>")))
    text = next(body for key, body in world.objects.items() if key.endswith("index.html")).decode()
    tags = _Tags()
    tags.feed(text)
    assert tags.open == []
    assert "script" not in tags.seen
    assert {"svg", "polyline", "table"} <= tags.seen
    assert "nan" not in text.lower().replace("nano", "")


def test_a_page_of_a_release_that_saw_nothing_can_be_made() -> None:
    state = {"label": "", "image": "i", "index": "teal", "schema_min": "1", "schema_max": "1"}
    whole = {"verb": "release", "target": "t", "who": "w", "began": "2026-01-01T00:00:00+00:00", "ended": "2026-01-01T00:00:00+00:00",
             "failure": "it failed", "events": [],
             "release": {"id": "r1", "target": "blue", "previous": None, "state": state, "replaces": None, "steps": [], "who": "w"}}  # fmt: skip
    text = page.evidence_page(whole)
    assert "it failed" in text
    assert "no samples" in text
