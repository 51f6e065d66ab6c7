"""Two keys with separate collections, through real processes with every cache on: nothing of one is ever in an answer to the other."""

from __future__ import annotations

import asyncio
import json
import random
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field

import httpx
import pytest

from tests.parts.app.service import MODELS, Service, wait_status
from tests.services.redis_process import RedisProcess
from tests.services.required import require

pytestmark = [pytest.mark.integration, pytest.mark.long, pytest.mark.timeout(400)]

REQUESTS = 10_000
NOTICED_SECONDS = 5.0  # a process looks for a changed index four times a second; a busy machine is slower
AT_ONCE = 16
DOCUMENTS = 12  # of each collection
WRITES = 4  # documents added to each collection meanwhile: the index changes, and every cache with it
# The same words in both, so that each question finds both and a cache key without the collection would be one key; and a word of
# its own in each, which must never be in an answer to the other.
SUBJECTS = ("valve", "pump", "boiler", "filter", "turbine", "sensor", "gasket", "burner", "piston", "bearing", "nozzle", "rotor")
MARKS = {"crimson": "zanzibar", "emerald": "kilimanjaro"}


def text(collection: str, subject: str) -> str:
    mark = MARKS[collection]
    return (
        f"The {subject} is inspected every month in {mark}. Close the {subject} before the inspection begins. "
        f"The {subject} of {mark} opens at twelve bar. Call the {mark} office when the {subject} leaks."
    )


@dataclass
class Tenant:
    """One key's side: what it may see, and the word that it must not."""

    collection: str
    foreign: str
    client: httpx.AsyncClient
    own_ids: list[str]
    other_ids: list[str]
    hosts: list[str]
    added: list[str] = field(default_factory=list)
    sent: int = 0


@pytest.fixture(scope="module")
def service(redis_server: RedisProcess, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    require("the embedding model", "Run `make fetch`.", any(MODELS.glob("*/model.onnx")))
    environment = {"REDIS_URL": redis_server.url, "TEAL_RATE_LIMIT_PER_SECOND": "100000", "TEAL_LOG_LEVEL": "WARNING"}
    running = Service(tmp_path_factory.mktemp("isolation"), environment, apps=2)
    try:
        yield running.start()
    finally:
        running.stop()


@pytest.fixture(scope="module")
def ids(service: Service) -> dict[str, list[str]]:
    with service.client("admin") as admin:
        sent = {
            collection: [
                admin.post("/v1/documents", json={"title": f"About the {subject}", "text": text(collection, subject), "collection": collection}).json()["id"]
                for subject in SUBJECTS[:DOCUMENTS]
            ]
            for collection in MARKS
        }  # fmt: skip
        for document_id in sent["crimson"] + sent["emerald"]:
            assert wait_status(admin, document_id, "indexed", "failed")["status"] == "indexed"
    return sent


def test_a_cached_answer_is_never_given_to_a_key_of_another_collection(service: Service, ids: dict[str, list[str]]) -> None:
    """The same request by three keys on one process: each computes its own once, and only its own is a hit."""
    with (
        service.client("reader", "crimson") as red,
        service.client("reader", "emerald") as green,
        service.client("admin") as all_of_it,
    ):
        for path, body in (
            ("/v1/search", {"query": "When is the valve inspected?"}),
            ("/v1/ask", {"question": "At how many bar does the pump open?"}),
        ):
            seen = {}
            for client in (red, green, all_of_it):
                first = client.post(path, json=body)
                assert first.headers["x-cache"] == "miss", path
                deadline = (
                    time.monotonic() + NOTICED_SECONDS
                )  # what was cached just before the process saw a changed index is gone
                while (again := client.post(path, json=body)).headers["x-cache"] != "hit-process":
                    assert time.monotonic() < deadline, again.headers
                assert first.content == again.content
                seen[client] = first.text
            assert MARKS["crimson"] in seen[red]
            assert MARKS["emerald"] not in seen[red]
            assert MARKS["emerald"] in seen[green]
            assert MARKS["crimson"] not in seen[green]
        for document_id in ids["crimson"][:2]:
            hits = [red.get(f"/v1/documents/{document_id}").headers["x-cache"] for _ in range(2)]
            assert hits[-1] == "hit-redis"
            assert green.get(f"/v1/documents/{document_id}").status_code == 404  # though Redis holds it


def test_ten_thousand_mixed_requests_and_nothing_crosses(service: Service, ids: dict[str, list[str]]) -> None:
    asyncio.run(_ten_thousand(service, ids))


async def _ten_thousand(service: Service, ids: dict[str, list[str]]) -> None:
    tenants = [_tenant(service, ids, "crimson", "emerald"), _tenant(service, ids, "emerald", "crimson")]
    seen: Counter[str] = Counter()
    dice = random.Random(9)
    kinds, weights = zip(*MIX, strict=True)
    began = time.monotonic()

    async def run() -> None:
        while sum(tenant.sent for tenant in tenants) < REQUESTS:
            kind, tenant = dice.choices(kinds, weights)[0], dice.choice(tenants)
            seen[await kind(tenant, dice)] += 1

    await asyncio.gather(*(run() for _ in range(AT_ONCE)), *(_write(tenant) for tenant in tenants))
    took = time.monotonic() - began
    for tenant in tenants:
        await tenant.client.aclose()
    sent = sum(tenant.sent for tenant in tenants)
    print(f"{sent} requests in {took:.0f} s: {dict(sorted(seen.items()))}")
    assert sent >= REQUESTS
    for needed in (
        "search miss",
        "search hit-process",
        "search hit-redis",
        "ask hit-process",
        "get hit-redis",
        "stream",
        "list",
        "not found",
        "forbidden",
    ):
        assert seen[needed] > 0, f"no request was {needed}: {seen}"


def _tenant(service: Service, ids: dict[str, list[str]], collection: str, other: str) -> Tenant:
    headers = {"Authorization": f"Bearer {service.key('writer', collection)}"}
    hosts = [f"http://127.0.0.1:{port}" for port in service.ports]
    client = httpx.AsyncClient(headers=headers, timeout=60, limits=httpx.Limits(max_connections=AT_ONCE))
    return Tenant(collection, MARKS[other], client, ids[collection], ids[other], hosts)


async def _send(tenant: Tenant, dice: random.Random, method: str, path: str, body: object = None) -> httpx.Response:
    """One request to either process. Whatever it is and however it ends, the other's word and ids are not in the answer."""
    answer = await tenant.client.request(method, f"{dice.choice(tenant.hosts)}{path}", json=body)
    tenant.sent += 1
    assert tenant.foreign not in answer.text, f"{method} {path} {body}: {answer.text[:300]}"
    asked = path.rpartition("/")[2]
    leaked = [one for one in tenant.other_ids if one in answer.text and one != asked]
    assert leaked == [], f"{method} {path} {body}: {answer.text[:300]}"
    return answer


async def _search(tenant: Tenant, dice: random.Random) -> str:
    body = {"query": f"When is the {dice.choice(SUBJECTS)} inspected?", "top_k": dice.choice((5, 50))}
    if dice.random() < 0.2:
        body["filters"] = {"collections": [tenant.collection]}
    answer = await _send(tenant, dice, "POST", "/v1/search", body)
    hits = answer.json()["hits"]
    assert answer.status_code == 200
    assert hits
    assert {hit["collection"] for hit in hits} == {tenant.collection}
    assert {hit["document_id"] for hit in hits} <= {*tenant.own_ids, *tenant.added}
    return f"search {answer.headers['x-cache']}"


async def _ask(tenant: Tenant, dice: random.Random) -> str:
    answer = await _send(tenant, dice, "POST", "/v1/ask", {"question": f"At how many bar does the {dice.choice(SUBJECTS)} open?"})
    assert answer.status_code == 200
    cited = answer.json()["citations"]
    assert {one["document_id"] for one in cited} <= {*tenant.own_ids, *tenant.added}
    return f"ask {answer.headers['x-cache']}"


async def _stream(tenant: Tenant, dice: random.Random) -> str:
    question = f"Whom do I call when the {dice.choice(SUBJECTS)} leaks?"
    answer = await _send(tenant, dice, "POST", "/v1/ask", {"question": question, "stream": True})
    assert answer.status_code == 200
    events = [line[7:].strip() for line in answer.text.splitlines() if line.startswith("event: ")]
    assert events[0] == "retrieval"
    assert events[-1] == "done", answer.text[-300:]
    return "stream"


async def _get(tenant: Tenant, dice: random.Random) -> str:
    answer = await _send(tenant, dice, "GET", f"/v1/documents/{dice.choice(tenant.own_ids)}")
    assert answer.json()["collection"] == tenant.collection
    return f"get {answer.headers['x-cache']}"


async def _get_foreign(tenant: Tenant, dice: random.Random) -> str:
    there = await _send(tenant, dice, "GET", f"/v1/documents/{dice.choice(tenant.other_ids)}")
    nowhere = await _send(tenant, dice, "GET", "/v1/documents/00000000-0000-7000-8000-000000000000")
    assert (there.status_code, nowhere.status_code) == (404, 404)
    assert there.json()["title"] == nowhere.json()["title"]  # nothing tells a document of others from none
    return "not found"


async def _list(tenant: Tenant, dice: random.Random) -> str:
    listed = (await _send(tenant, dice, "GET", "/v1/documents?limit=500")).json()["items"]
    assert {one["collection"] for one in listed} == {tenant.collection}
    assert DOCUMENTS <= len(listed) <= DOCUMENTS + WRITES
    (counted,) = (await _send(tenant, dice, "GET", "/v1/collections")).json()["items"]
    assert counted["name"] == tenant.collection
    assert DOCUMENTS <= counted["documents"] <= DOCUMENTS + WRITES
    status = (await _send(tenant, dice, "GET", "/v1/status")).json()
    assert DOCUMENTS <= sum(status["documents"].values()) <= DOCUMENTS + WRITES
    assert (status["search"]["passages"], status["search"]["vectors"]) == (None, None)  # the engine counts all collections
    return "list"


async def _forbidden(tenant: Tenant, dice: random.Random) -> str:
    other = "emerald" if tenant.collection == "crimson" else "crimson"
    wish = dice.choice(([other], [tenant.collection, other]))
    asked = [
        await _send(tenant, dice, "POST", "/v1/search", {"query": "valve", "filters": {"collections": wish}}),
        await _send(
            tenant, dice, "POST", "/v1/ask", {"question": "Which valve?", "stream": True, "filters": {"collections": wish}}
        ),
        await _send(tenant, dice, "GET", f"/v1/documents?collection={other}"),
        await _send(tenant, dice, "POST", "/v1/documents", {"title": "t", "text": "words", "collection": other}),
    ]
    assert {answer.status_code for answer in asked} == {403}
    by_id = {"query": "valve inspected", "filters": {"document_ids": tenant.other_ids}}
    found = await _send(tenant, dice, "POST", "/v1/search", by_id)
    assert found.json()["hits"] == []
    return "forbidden"


async def _write(tenant: Tenant) -> None:
    """Adds documents while the others read, each once the one before it is indexed."""
    dice = random.Random(tenant.collection)
    for number in range(WRITES):
        words = {
            "title": f"Note {number}",
            "text": text(tenant.collection, SUBJECTS[number]) + f" Note {number}.",
            "collection": tenant.collection,
        }
        answer = await _send(tenant, dice, "POST", "/v1/documents", words)
        assert answer.status_code == 202
        tenant.added.append(json.loads(answer.text)["id"])
        for _ in range(100):
            if (await _send(tenant, dice, "GET", f"/v1/documents/{tenant.added[-1]}")).json()["status"] == "indexed":
                break
            await asyncio.sleep(0.2)


MIX = ((_search, 50), (_ask, 17), (_stream, 10), (_get, 15), (_get_foreign, 4), (_list, 2), (_forbidden, 2))
