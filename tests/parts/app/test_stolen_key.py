"""What a stolen key of one collection can learn of the others: by errors, ids, counts, cursors, caches, repeated content and time."""

from __future__ import annotations

import functools
import re
import statistics
import time
import uuid
from collections.abc import Iterator
from dataclasses import dataclass

import httpx
import pytest

from tests.parts.app.service import Service, add, until
from tests.services.redis_process import RedisProcess

pytestmark = pytest.mark.integration

SECRET = {
    "title": "Merger plan",
    "text": "The zephyrine merger is signed in Lisbon on the ninth.",
    "source": "https://bank.example/merger",
}
NOWHERE = "00000000-0000-7000-8000-000000000000"
ASKED = 120  # of each kind, for a time; the two kinds in turn, so that the machine's mood is in both
NOTICED_SECONDS = 10.0  # a process looks for a changed index four times a second, and the worker changes it for some seconds more
TOLD_APART_SECONDS = 0.002  # less than this is lost in a network and in the service's own spread


@dataclass(frozen=True)
class Scene:
    """`ids`: documents of others: one that is cached, one that was replaced, one that failed, and one that was deleted."""

    admin: httpx.Client
    thief: httpx.Client
    ids: dict[str, str]


@pytest.fixture(scope="module")
def scene(redis_server: RedisProcess, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    environment = {"REDIS_URL": redis_server.url, "TEAL_EMBEDDING": "none", "TEAL_RATE_LIMIT_PER_SECOND": "100000"}
    service = Service(tmp_path_factory.mktemp("stolen"), environment)
    try:
        service.start()
        with service.client("admin") as admin, service.client("writer", "town") as thief:
            add(thief, "Market", "The market opens at eight.", collection="town")
            ids = {
                "live": add(admin, **SECRET, collection="bank"),
                "deleted": add(admin, "Old", "An old note.", collection="bank"),
            }
            ids["replaced"] = add(admin, "Draft", "A first draft.", collection="bank")
            admin.put(
                f"/v1/documents/{ids['replaced']}", json={"title": "Draft", "text": "A second draft.", "collection": "bank"}
            )
            failed = admin.post(
                "/v1/documents/upload", files={"file": ("a.pdf", b"%PDF-1.7 no more")}, data={"collection": "bank"}
            )
            ids["failed"] = failed.json()["id"]
            admin.delete(f"/v1/documents/{ids['deleted']}")
            for one in ids.values():  # what can be is in the caches now
                admin.get(f"/v1/documents/{one}")
            admin.post("/v1/search", json={"query": "zephyrine merger"})
            yield Scene(admin, thief, ids)
    finally:
        service.stop()


def told(answer: httpx.Response, *ids: str) -> tuple[int, str, dict[str, str]]:
    """All that an answer says but its own id and the ids that were sent."""
    text = answer.text
    for one in (*ids, answer.headers.get("x-request-id", "no id")):
        text = text.replace(one, "ID")
    headers = {
        name: value
        for name, value in answer.headers.items()
        if name not in ("date", "x-request-id", "content-length", "server-timing")
    }
    return answer.status_code, re.sub(r'"request_id":"[^"]*"', "", text), headers


@pytest.mark.parametrize("kind", ["live", "replaced", "failed", "deleted"])
def test_no_route_tells_a_document_of_others_from_none(scene: Scene, kind: str) -> None:
    none = str(uuid.uuid4())  # a new one: what this key asked before is in its own cache
    body = {"title": "t", "text": "words", "collection": "town"}
    routes = (
        ("GET", "/v1/documents/{}", None), ("GET", "/v1/documents/{}/passages", None), ("GET", "/v1/documents/{}/passages?around=0", None),
        ("DELETE", "/v1/documents/{}", None), ("POST", "/v1/documents/{}/retry", None), ("PUT", "/v1/documents/{}", body),
        ("DELETE", "/v1/documents?id={}", None), ("GET", "/v1/documents?q={}", None),
    )  # fmt: skip
    for method, path, content in routes:
        there, nowhere = (
            told(scene.thief.request(method, path.format(one), json=content), one) for one in (scene.ids[kind], none)
        )
        assert there == nowhere, f"{method} {path}"
    file = {"file": ("a.txt", b"words")}
    there, nowhere = (told(scene.thief.put(f"/v1/documents/{one}/upload", files=file), one) for one in (scene.ids[kind], none))
    assert there == nowhere
    for path, words in (("/v1/search", "query"), ("/v1/ask", "question")):
        asked = [{words: "merger", "filters": {"document_ids": [one]}} for one in (scene.ids[kind], none)]
        there, nowhere = (told(scene.thief.post(path, json=one)) for one in asked)
        assert there == nowhere, path
    assert scene.admin.get(f"/v1/documents/{scene.ids['live']}").status_code == 200  # and nothing of it was done


def test_no_answer_tells_a_collection_of_others_from_none(scene: Scene) -> None:
    routes = (
        ("GET", "/v1/documents?collection={}", None), ("DELETE", "/v1/documents?collection={}", None), ("DELETE", "/v1/collections/{}", None),
        ("POST", "/v1/documents", "collection"), ("POST", "/v1/search", "query"), ("POST", "/v1/ask", "question"),
        ("POST", "/v1/chat/completions", "model"),
    )  # fmt: skip
    for method, path, kind in routes:
        answers = []
        for name in ("bank", "noun"):
            body = {
                "collection": {"title": "t", "text": "w", "collection": name},
                "model": {"model": f"teal:{name}", "messages": [{"role": "user", "content": "merger?"}]},
                None: None,
            }.get(kind, {kind: "merger", "filters": {"collections": [name]}})
            answers.append(told(scene.thief.request(method, path.format(name), json=body), name))
        assert answers[0] == answers[1], f"{method} {path}"
        assert answers[0][0] in (403, 404)
    listed = scene.thief.get("/v1/models").text
    assert "bank" not in listed
    assert [one["name"] for one in scene.thief.get("/v1/collections").json()["items"]] == ["town"]


def test_the_same_content_as_others_have_is_new_to_this_key(scene: Scene) -> None:
    """Content is one document within a collection. Were it one over all, sending a guess would tell whether somebody has it."""
    sent = scene.thief.post("/v1/documents", json={**SECRET, "collection": "town"})
    other = scene.thief.post(
        "/v1/documents", json={"title": "Unique", "text": f"Nobody has {uuid.uuid4()}.", "collection": "town"}
    )
    assert (sent.status_code, sent.json().keys()) == (other.status_code, other.json().keys())
    assert sent.json()["id"] not in scene.ids.values()
    assert {name: value for name, value in sent.json().items() if name != "id"} == {
        name: value for name, value in other.json().items() if name != "id"
    }
    assert scene.admin.get(f"/v1/documents/{scene.ids['live']}").json()["collection"] == "bank"
    repeated = {"Idempotency-Key": "one-for-both"}
    theirs = scene.admin.post(
        "/v1/documents", json={"title": "a", "text": "Theirs.", "collection": "bank"}, headers=repeated
    ).json()
    ours = scene.thief.post("/v1/documents", json={"title": "b", "text": "Ours.", "collection": "town"}, headers=repeated)
    assert ours.status_code == 202
    assert ours.json()["id"] != theirs["id"]
    for one in (sent, other, ours):
        scene.thief.delete(f"/v1/documents/{one.json()['id']}")


def test_no_count_cursor_score_or_number_of_the_service_holds_others(scene: Scene) -> None:
    listed = scene.admin.get("/v1/documents?limit=1").json()
    for cursor in (listed["next"], scene.admin.get("/v1/documents?limit=2").json()["next"]):
        found = scene.thief.get("/v1/documents", params={"limit": 500, "cursor": cursor})
        assert {one["collection"] for one in found.json().get("items", ())} <= {"town"}
    assert sum(scene.thief.get("/v1/status").json()["documents"].values()) == 1
    assert scene.thief.get("/v1/documents", params={"q": "Merger"}).json()["items"] == []
    hits = scene.thief.post("/v1/search", json={"query": "zephyrine merger Lisbon", "top_k": 50}).json()["hits"]
    assert {hit["collection"] for hit in hits} <= {"town"}
    for path in ("/v1/signals", "/metrics"):
        assert scene.thief.get(path, headers={"X-Forwarded-For": "192.0.2.1"}).status_code in (403, 404)
    for body in (
        {"query": "merger", "filters": {"sources": [SECRET["source"]]}},
        {"query": "merger", "filters": {"metadata": {"a": "b"}}},
    ):
        assert scene.thief.post("/v1/search", json=body).json()["hits"] == []


def is_hit(client: httpx.Client, path: str, body: dict[str, str]) -> bool:
    return client.post(path, json=body).headers["x-cache"].startswith("hit")


def test_a_question_that_others_asked_is_no_hit_of_a_cache(scene: Scene) -> None:
    for path, body in (
        ("/v1/search", {"query": "zephyrine"}),
        ("/v1/ask", {"question": "Where is the zephyrine merger signed?"}),
    ):
        # Asked until it is: what was sent and deleted before is still on its way through the worker, and changes the index once more.
        until("an answer from the cache", functools.partial(is_hit, scene.admin, path, body), NOTICED_SECONDS)
        first = scene.thief.post(path, json=body)
        assert first.headers["x-cache"] == "miss"
        assert "Lisbon" not in first.text


def test_time_tells_no_document_and_no_word_of_others_from_none(scene: Scene) -> None:
    def seconds(method: str, path: str, body: object = None) -> float:
        began = time.perf_counter()
        scene.thief.request(method, path, json=body)
        return time.perf_counter() - began

    kinds = {
        "document": lambda mine, _: seconds("GET", f"/v1/documents/{scene.ids['live'] if mine else NOWHERE}"),
        "word": lambda mine, number: seconds(
            "POST", "/v1/search", {"query": f"{'zephyrine' if mine else 'nonesuchly'} {number}"}
        ),
    }
    for name, ask in kinds.items():
        taken: dict[bool, list[float]] = {True: [], False: []}
        for number in range(ASKED):
            for there in (True, False) if number % 2 else (False, True):
                taken[there].append(ask(there, number))
        there, nowhere = (statistics.median(taken[one]) for one in (True, False))
        spread = statistics.quantiles(taken[False], n=4)[2] - statistics.quantiles(taken[False], n=4)[0]
        assert abs(there - nowhere) < max(TOLD_APART_SECONDS, spread), (
            f"{name}: {there * 1000:.1f} ms there, {nowhere * 1000:.1f} ms nowhere"
        )
