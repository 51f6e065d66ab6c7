"""Documents over time and where users come from, on real processes: newer versions, deletions, passages, what is refused, OpenAI's API."""

from __future__ import annotations

import functools
import io
import time
from collections.abc import Iterator
from contextlib import nullcontext
from typing import Any

import httpx
import openai
import pytest
from openai.types.chat import ChatCompletionChunk

from tests.parts.app.service import Service, add, real_stores, until, wait_status

pytestmark = pytest.mark.integration

NOTICED_SECONDS = 5.0  # a process looks for a changed index four times a second; a busy machine is slower
ORIGIN = "https://wiki.example.org"


@pytest.fixture(scope="module", params=["laptop", "full"])
def service(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    environment = {"TEAL_EMBEDDING": "none", "TEAL_CORS_ORIGINS": ORIGIN}  # words suffice to see which documents are found
    with real_stores(request, "time") if request.param == "full" else nullcontext({}) as stores:
        running = Service(tmp_path_factory.mktemp("service"), environment | stores, apps=2).start()
        yield running
        running.stop()


@pytest.fixture(scope="module")
def admin(service: Service) -> Iterator[httpx.Client]:
    with service.client("admin") as client:
        yield client


def has(client: httpx.Client, query: dict[str, object], document_id: str) -> bool:
    return any(hit["document_id"] == document_id for hit in client.post("/v1/search", json=query).json()["hits"])


def test_a_deleted_document_is_in_no_search_and_no_answer_of_any_process_though_no_worker_removes_it(
    service: Service, admin: httpx.Client
) -> None:
    document_id = add(admin, "Axolotl", "The axolotl regrows its limbs and stays a larva all its life.")
    query = {"query": "axolotl larva limbs", "top_k": 5}
    question = {"question": "What does the axolotl regrow?"}
    service.kill("worker")
    try:
        with service.client(app=1) as other:
            for client in (admin, other):
                until("it is found", functools.partial(has, client, query, document_id), NOTICED_SECONDS)  # and cached
                assert "limbs" in client.post("/v1/ask", json=question).json()["answer"]
            assert admin.delete(f"/v1/documents/{document_id}").status_code == 204
            for client in (other, admin):
                assert not has(client, query, document_id)
                assert not has(client, query | {"top_k": 50, "mode": "lexical"}, document_id)
                assert "limbs" not in client.post("/v1/ask", json=question).text
                assert client.get(f"/v1/documents/{document_id}").status_code == 404
                assert client.delete(f"/v1/documents/{document_id}").status_code == 404
    finally:
        service.start_worker()
    again = admin.post(
        "/v1/documents", json={"title": "Axolotl", "text": "The axolotl regrows its limbs and stays a larva all its life."}
    )
    assert again.json()["id"] != document_id


def test_a_changed_file_replaces_its_older_version_in_searches_and_answers(service: Service, admin: httpx.Client) -> None:
    def send(content: str) -> str:
        files = {"file": ("shed.md", io.BytesIO(content.encode()))}
        answer = admin.post("/v1/documents/upload", files=files, data={"collection": "sheds"})
        identity: str = wait_status(admin, answer.json()["id"], "indexed")["id"]
        return identity

    question = {"question": "How many barrels are in the shed?", "filters": {"collections": ["sheds"]}}
    old = send("# The shed\n\nThere are 12 barrels in the shed.")
    with service.client(app=1) as other:
        for client in (admin, other):
            assert "12" in client.post("/v1/ask", json=question).json()["answer"]
        new = send("# The shed\n\nThere are 19 barrels in the shed.")
        for client in (admin, other):
            found = client.post("/v1/ask", json=question).json()
            assert "19" in found["answer"]
            assert "12" not in found["answer"]
            assert {one["document_id"] for one in found["citations"]} == {new}
            assert client.get(f"/v1/documents/{old}").json()["id"] == new


def named_by(client: httpx.Client, identity: str, wanted: str) -> dict[str, Any]:
    """The document that an id names, once it is the wanted version and indexed."""
    deadline = time.monotonic() + 60
    found: dict[str, Any] = {}
    while (found.get("id"), found.get("status")) != (wanted, "indexed"):
        assert time.monotonic() < deadline, found
        time.sleep(0.2)
        found = client.get(f"/v1/documents/{identity}").json()
    return found


def test_a_document_is_put_anew_and_both_its_ids_name_it(admin: httpx.Client) -> None:
    old = add(admin, "Toll", "The toll of the Wren bridge is 4 crowns.", collection="tolls", source="toll")
    put = admin.put(f"/v1/documents/{old}", json={"title": "Toll", "text": "The toll of the Wren bridge is 7 crowns."})
    assert put.status_code == 202, put.text
    assert named_by(admin, old, put.json()["id"])["title"] == "Toll"
    filters = {"collections": ["tolls"]}
    hits = admin.post("/v1/search", json={"query": "toll of the Wren bridge", "filters": filters}).json()["hits"]
    assert [(hit["document_id"], "7 crowns" in hit["passage"]) for hit in hits] == [(put.json()["id"], True)]
    file = {"file": ("toll.txt", io.BytesIO(b"The toll of the Wren bridge is 9 crowns."))}
    newer = admin.put(f"/v1/documents/{old}/upload", files=file, data={"metadata": '{"year": "2026"}'})
    assert newer.status_code == 202, newer.text
    found = named_by(admin, old, newer.json()["id"])
    assert (found["collection"], found["metadata"], found["source"]) == ("tolls", {"year": "2026"}, "toll")
    assert admin.put("/v1/documents/none", json={"title": "t", "text": "x"}).status_code == 404


def test_the_same_bytes_under_another_name_are_told(admin: httpx.Client) -> None:
    def send(name: str) -> dict[str, str]:
        body: dict[str, str] = admin.post("/v1/documents/upload", files={"file": (name, io.BytesIO(b"Twins of bytes."))}).json()
        return body

    first, second = send("one.txt"), send("two.txt")
    assert "known_as" not in first
    assert (second["id"], second["known_as"]) == (first["id"], "one.txt")


def test_many_documents_and_a_collection_are_deleted_and_shown_no_more(admin: httpx.Client) -> None:
    ids = [add(admin, f"Bulk {number}", f"The bulk heron {number} stands.", collection="bulk") for number in range(4)]
    query = {"query": "bulk heron", "filters": {"collections": ["bulk"]}}
    assert admin.delete("/v1/documents", params={"id": ids[:2], "collection": "bulk"}).json() == {"deleted": 2}
    assert {hit["document_id"] for hit in admin.post("/v1/search", json=query).json()["hits"]} == set(ids[2:])
    assert admin.delete("/v1/collections/bulk").json() == {"deleted": 2}
    assert admin.post("/v1/search", json=query).json()["hits"] == []
    assert "bulk" not in {one["name"] for one in admin.get("/v1/collections").json()["items"]}
    assert admin.delete("/v1/documents").json()["code"] == "invalid-request"


def test_the_passages_of_a_document_are_paged_and_one_is_shown_in_its_surroundings(admin: httpx.Client) -> None:
    text = "\n\n".join(f"Paragraph {number} of the long tale. " + "It goes on and on. " * 40 for number in range(12))
    identity = add(admin, "Tale", text, collection="tales")
    seen, first = [], 0
    while first is not None:
        page = admin.get(f"/v1/documents/{identity}/passages", params={"first": first, "limit": 3}).json()
        seen += page["items"]
        first = page["next"]
    assert [one["ordinal"] for one in seen] == list(range(page["total"]))
    assert "Paragraph 0" in seen[0]["passage"]
    near = admin.get(f"/v1/documents/{identity}/passages", params={"around": 3, "neighbours": 1}).json()["items"]
    assert [one["ordinal"] for one in near] == [2, 3, 4]
    start = admin.get(f"/v1/documents/{identity}/passages", params={"around": 0, "neighbours": 1}).json()["items"]
    assert [one["ordinal"] for one in start] == [0, 1]


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({"data": {"colection": "x"}}, "colection"),
        ({"data": {"metadata": "no json"}}, "metadata"),
        ({"data": {"metadata": '{"a": 1}'}}, "metadata"),
        ({"params": {"title": "x"}}, "title"),
        ({"more": True}, "file"),
    ],
)
def test_what_an_upload_says_and_nobody_reads_is_refused(admin: httpx.Client, options: dict[str, object], named: str) -> None:
    names = ("a.txt", "b.txt") if "more" in options else ("a.txt",)
    files = [("file", (name, io.BytesIO(name.encode() * 9))) for name in names]
    said = {name: value for name, value in options.items() if name != "more"}
    answer = admin.post("/v1/documents/upload", files=files, **said)  # type: ignore[arg-type]
    assert (answer.status_code, answer.json()["code"]) == (422, "invalid-request"), answer.text
    assert named in answer.json()["detail"]


@pytest.mark.parametrize("path", ["/v1/documents", "/v1/collections", "/v1/status", "/v1/formats"])
def test_unknown_and_repeated_query_parameters_are_refused(admin: httpx.Client, path: str) -> None:
    assert "titel" in admin.get(path, params={"titel": "x"}).json()["detail"]
    assert admin.get("/v1/documents", params={"limit": [1, 2]}).status_code == 422
    assert admin.post("/v1/search", params={"mode": "lexical"}, json={"query": "x"}).status_code == 422


@pytest.fixture(scope="module")
def chat(service: Service, admin: httpx.Client) -> Iterator[openai.OpenAI]:
    add(admin, "Ferry", "The Ostrel ferry leaves the north pier at 6:40 every morning.", collection="ferries")
    with openai.OpenAI(base_url=f"{admin.base_url}/v1", api_key=service.key("reader"), max_retries=0) as client:
        yield client


FERRY = "When does the Ostrel ferry leave the north pier?"


def test_the_official_client_gets_an_answer_with_citations(chat: openai.OpenAI) -> None:
    found = chat.chat.completions.create(
        model="teal",
        messages=[
            {"role": "system", "content": "Be brief."},
            {"role": "user", "content": "What do you know?"},
            {"role": "assistant", "content": "What the documents say."},
            {"role": "user", "content": [{"type": "text", "text": FERRY}]},
        ],
        temperature=0,
        max_tokens=300,
    )
    assert "6:40" in (found.choices[0].message.content or "")
    assert (found.object, found.model, found.choices[0].finish_reason) == ("chat.completion", "teal", "stop")
    extra = found.model_extra or {}
    assert extra["grounded"] is True
    assert extra["citations"][0]["title"] == "Ferry"
    assert found.usage is not None
    assert found.usage.total_tokens == 0


def test_the_official_client_streams_the_same_answer(chat: openai.OpenAI) -> None:
    ask = functools.partial(chat.chat.completions.create, model="teal:ferries", messages=[{"role": "user", "content": FERRY}])
    chunks = list[ChatCompletionChunk](ask(stream=True))
    text = "".join(chunk.choices[0].delta.content or "" for chunk in chunks)
    assert text.strip() == ask().choices[0].message.content
    assert [chunk.choices[0].finish_reason for chunk in chunks if chunk.choices[0].finish_reason] == ["stop"]
    assert (chunks[-1].model_extra or {})["citations"][0]["title"] == "Ferry"
    assert len({chunk.id for chunk in chunks}) == 1
    counted = list[ChatCompletionChunk](ask(stream=True, stream_options={"include_usage": True}))
    last = counted[-1]
    assert last.choices == []
    assert last.usage is not None
    assert last.usage.total_tokens == 0
    assert all(chunk.usage is None for chunk in counted[:-1])


def test_models_are_the_collections_that_the_key_may_see(service: Service, chat: openai.OpenAI) -> None:
    names = [model.id for model in chat.models.list()]
    assert names[0] == "teal"
    assert "teal:ferries" in names
    limited = openai.OpenAI(base_url=str(chat.base_url), api_key=service.key("reader", "elsewhere"), max_retries=0)
    with limited:
        assert "teal:ferries" not in [model.id for model in limited.models.list()]
        said = limited.chat.completions.create(model="teal", messages=[{"role": "user", "content": FERRY}])
        assert "6:40" not in (said.choices[0].message.content or "")
        with pytest.raises(openai.PermissionDeniedError):
            limited.chat.completions.create(model="teal:ferries", messages=[{"role": "user", "content": FERRY}])


def test_errors_of_the_chat_routes_have_openais_form(chat: openai.OpenAI) -> None:
    def refusal(kind: type[openai.APIStatusError], **said: object) -> dict[str, object]:
        with pytest.raises(kind) as raised:
            chat.chat.completions.create(**({"model": "teal", "messages": [{"role": "user", "content": "x"}]} | said))  # type: ignore[call-overload]
        body = raised.value.body
        assert isinstance(body, dict)
        assert {"message", "type", "param", "code"} <= body.keys()
        return body

    assert refusal(openai.NotFoundError, model="gpt-4o")["code"] == "not-found"
    assert refusal(openai.UnprocessableEntityError, tools=[{"type": "function"}])["param"] == "tools"
    assert (
        refusal(openai.UnprocessableEntityError, messages=[{"role": "assistant", "content": "x"}])["type"]
        == "invalid_request_error"
    )
    with pytest.raises(openai.AuthenticationError):
        openai.OpenAI(base_url=str(chat.base_url), api_key="wrong", max_retries=0).models.list()


def test_only_pages_of_named_sites_may_read_answers(service: Service, admin: httpx.Client) -> None:
    asked = {"Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "authorization,content-type"}
    allowed = admin.options("/v1/ask", headers=asked | {"Origin": ORIGIN})
    assert (allowed.status_code, allowed.headers["access-control-allow-origin"]) == (200, ORIGIN)
    assert "access-control-allow-credentials" not in allowed.headers
    answer = admin.post("/v1/search", json={"query": "x"}, headers={"Origin": ORIGIN})
    assert answer.headers["access-control-allow-origin"] == ORIGIN
    other = admin.options("/v1/ask", headers=asked | {"Origin": "https://elsewhere.example.org"})
    assert "access-control-allow-origin" not in other.headers
