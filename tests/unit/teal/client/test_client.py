from __future__ import annotations

import json
from pathlib import Path

import httpx
import pytest

from teal.client.service import Address, Client, events, require_key, retry_after, service_refused
from teal.errors import BadInput, ServiceRefused, Unreachable
from teal.laptop.address import address
from teal.laptop.files import write_private
from teal.laptop.layout import Layout, create_folders
from teal.laptop.state import UpOptions, choose_state, save_state


def _client(handler: httpx.MockTransport) -> Client:
    client = Client(Address("https://localhost:1", "k", None))
    client._http = httpx.Client(base_url="https://localhost:1", transport=handler)
    return client


def test_a_busy_service_is_waited_for_as_long_as_it_asks() -> None:
    answers = iter([httpx.Response(429, headers={"Retry-After": "0"}, json={}), httpx.Response(503, headers={"Retry-After": "0"}, json={}),
                    httpx.Response(202, json={"id": "d1", "status": "queued"})])  # fmt: skip
    assert _client(httpx.MockTransport(lambda _: next(answers))).send_text({"title": "t", "text": "x"})["id"] == "d1"


def test_who_follows_many_documents_waits_when_the_service_says_so() -> None:
    answers = iter(
        [httpx.Response(429, headers={"Retry-After": "0"}, json={}), httpx.Response(200, json={"id": "d1", "status": "indexed"})]
    )
    assert _client(httpx.MockTransport(lambda _: next(answers))).document("d1")["status"] == "indexed"


def test_a_question_is_asked_of_the_named_collections_and_else_of_all() -> None:
    bodies: list[dict[str, object]] = []

    def answer(request: httpx.Request) -> httpx.Response:
        bodies.append(json.loads(request.content))
        return httpx.Response(200, json={"answer": "x"})

    client = _client(httpx.MockTransport(answer))
    client.ask("q", ["papers", "notes"])
    client.ask("q")
    with client.ask_stream("q", ["papers"]):
        pass
    assert bodies[0] == {"question": "q", "filters": {"collections": ["papers", "notes"]}}
    assert bodies[1] == {"question": "q"}
    assert bodies[2] == {"question": "q", "filters": {"collections": ["papers"]}, "stream": True}


def test_a_refusal_is_not_tried_again() -> None:
    calls: list[int] = []

    def answer(_: httpx.Request) -> httpx.Response:
        calls.append(1)
        return httpx.Response(
            413, json={"code": "too-large", "title": "T", "detail": "D", "action": "Split it.", "request_id": "r"}
        )

    with pytest.raises(ServiceRefused) as caught:
        _client(httpx.MockTransport(answer)).send_text({})
    assert calls == [1]
    assert (caught.value.code, caught.value.next, caught.value.request_id) == ("too-large", "Split it.", "r")


def test_nobody_listening_is_said_in_words() -> None:
    def nobody(_: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError("refused")

    with pytest.raises(Unreachable, match="nothing listens there"):
        _client(httpx.MockTransport(nobody)).get("/healthz")


def test_an_answer_that_is_no_problem_document_is_still_an_error_with_a_next_command() -> None:
    found = service_refused(httpx.Response(502, text="<html>", request=httpx.Request("GET", "https://localhost/x")))
    assert found.status == 502
    assert found.next == "teal status"


@pytest.mark.parametrize(("header", "seconds"), [("2", 2.0), ("99999", 120.0), ("-1", 0.0), ("Wed, 21 Oct", None), (None, None)])
def test_retry_after_is_bounded(header: str | None, seconds: float | None) -> None:
    assert retry_after(httpx.Response(503, headers={"Retry-After": header} if header else {})) == seconds


def test_streams_are_read_event_by_event_and_heartbeats_skipped() -> None:
    lines = [": ping", "", "event: token", 'data: {"text": "a"}', "", "event: done", 'data: {"answer":', 'data: "a"}', ""]
    assert list(events(iter(lines))) == [("token", {"text": "a"}), ("done", {"answer": "a"})]


def test_the_key_is_the_given_one_then_the_shells_then_the_stacks(tmp_path: Path) -> None:
    home = Layout(tmp_path / ".teal")
    create_folders(home)
    with pytest.raises(Unreachable):
        address(home, {})
    save_state(home, choose_state(None, UpOptions(port=9443)))
    with pytest.raises(BadInput, match="key is needed"):
        require_key(address(home, {}))
    write_private(home.admin_key, "own\n")
    assert address(home, {"TEAL_KEY": "shell"}, "given").key == "given"
    assert address(home, {"TEAL_KEY": "shell"}).key == "shell"
    assert address(home, {}).key == "own"
    assert address(home, {}).url == "https://localhost:9443"
