"""What only the Elasticsearch adapter promises: round trips, quantisation, alias, bulk failures, the breaker."""

from __future__ import annotations

import asyncio
import dataclasses
import json
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from uuid import uuid4

import numpy as np
import pytest
from elasticsearch import Elasticsearch

from app.errors import IndexMismatch, PassageRefused, SearchUnavailable
from app.search.elasticsearch.connection import client_options
from app.search.elasticsearch.reader import ElasticsearchReader
from app.search.elasticsearch.writer import ElasticsearchWriter
from app.search.port import Filters, SearchQuery
from app.settings import Settings
from tests.contract.conftest import STAMP
from tests.contract.test_search_contract import passage, vector

pytestmark = pytest.mark.anyio


@asynccontextmanager
async def counting_proxy(url: str) -> AsyncIterator[tuple[str, list[str]]]:
    """Forwards to Elasticsearch and notes the first line of every HTTP request."""
    host, port = url.removeprefix("http://").split(":")
    seen: list[str] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        up_reader, up_writer = await asyncio.open_connection(host, int(port))

        async def copy(source: asyncio.StreamReader, sink: asyncio.StreamWriter, note: bool) -> None:
            while data := await source.read(65_536):
                if note:
                    seen.extend(line.decode() for line in data.split(b"\r\n") if line.endswith(b"HTTP/1.1"))
                sink.write(data)
                await sink.drain()
            sink.close()

        await asyncio.gather(copy(reader, up_writer, True), copy(up_reader, writer, False), return_exceptions=True)

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}", seen
    finally:
        server.close()


def settings_for(url: str, **more: Any) -> Settings:
    return Settings(
        search="elasticsearch", elasticsearch_url=url, index=f"t{uuid4().hex[:12]}", search_timeout_seconds=10.0, **more
    )


@pytest.mark.integration
async def test_both_lists_take_one_round_trip_and_the_texts_another(elasticsearch_url: str) -> None:
    settings = settings_for(elasticsearch_url)
    writer = ElasticsearchWriter(settings)
    writer.ensure(STAMP)
    writer.put([passage("d")])
    writer.refresh()
    async with counting_proxy(elasticsearch_url) as (url, seen):
        reader = ElasticsearchReader(settings.model_copy(update={"elasticsearch_url": url}), STAMP)
        await reader.candidates(SearchQuery("tide", vector(1), 10))  # the first one also reads the stamp
        seen.clear()
        found = await reader.candidates(SearchQuery("tide", vector(1), 100, Filters(collections=("default",))))
        assert list(found.lexical) == list(found.semantic) == ["d:0"]
        assert (await reader.passages(["d:0"]))["d:0"].text == "a tide table"
        assert [line.partition("?")[0].split()[:2] for line in seen] == [
            ["POST", "/_msearch"],
            ["POST", f"/{settings.index}/_mget"],
        ]
        await reader.close()
    _drop(elasticsearch_url, settings)
    writer.close()


@pytest.mark.integration
@pytest.mark.parametrize("kind", ["none", "int8", "int4", "bbq"])
async def test_settings_shape_the_index_and_every_quantisation_gives_exact_cosines(elasticsearch_url: str, kind: str) -> None:
    settings = settings_for(
        elasticsearch_url,
        elasticsearch_quantization=kind,
        elasticsearch_shards=2,
        elasticsearch_replicas=1,
        elasticsearch_refresh_interval="7s",
    )
    writer, wide = ElasticsearchWriter(settings), dataclasses.replace(STAMP, dimensions=64)  # the fewest that bbq takes
    index = writer.ensure(wide)
    assert index == f"{settings.index}-000001"
    with Elasticsearch(elasticsearch_url) as client:
        made = client.indices.get(index=settings.index)[index]
    assert {made["settings"]["index"][name] for name in ("number_of_shards",)} == {"2"}
    assert (made["settings"]["index"]["number_of_replicas"], made["settings"]["index"]["refresh_interval"]) == ("1", "7s")
    assert made["mappings"]["dynamic"] == "strict"
    assert made["mappings"]["properties"]["vector"]["index_options"]["type"] == ("hnsw" if kind == "none" else f"{kind}_hnsw")
    assert set(made["aliases"]) == {settings.index}
    generator = np.random.default_rng(7)
    drawn = generator.standard_normal((200, wide.dimensions)).astype(np.float32)
    vectors = [*(drawn / np.linalg.norm(drawn, axis=1, keepdims=True))]
    writer.put([passage(f"d{number}", vector=one) for number, one in enumerate(vectors)])
    writer.refresh()
    reader = ElasticsearchReader(settings, wide)
    found = (await reader.candidates(SearchQuery(None, vectors[0], 10))).semantic
    assert next(iter(found)) == "d0:0"
    exact = [float(vectors[0] @ vectors[int(one.removeprefix("d").removesuffix(":0"))]) for one in found]
    assert list(found.values()) == pytest.approx(exact, abs=1e-3)
    await reader.close()
    _drop(elasticsearch_url, settings)
    writer.close()


@pytest.mark.integration
async def test_an_alias_that_moves_to_another_models_index_is_noticed(elasticsearch_url: str) -> None:
    settings, other = settings_for(elasticsearch_url), settings_for(elasticsearch_url)
    writer, second = ElasticsearchWriter(settings), ElasticsearchWriter(other)
    reader = ElasticsearchReader(settings, STAMP)
    writer.ensure(STAMP)
    second.ensure(type(STAMP)("another", "digest", 8))
    for one in (writer, second):
        one.put([passage("d")])
        one.refresh()
    assert (await reader.candidates(SearchQuery("tide", vector(1), 10))).semantic
    with Elasticsearch(elasticsearch_url) as client:
        moved = [
            {"remove": {"index": f"{settings.index}-000001", "alias": settings.index}},
            {"add": {"index": f"{other.index}-000001", "alias": settings.index}},
        ]
        client.indices.update_aliases(actions=moved)
    with pytest.raises(IndexMismatch, match="another"):
        await reader.candidates(SearchQuery("tide", vector(1), 10))
    await reader.close()
    for one, its in ((writer, settings), (second, other)):
        one.close()
        _drop(elasticsearch_url, its)


@pytest.mark.integration
def test_a_passage_refused_for_good_is_told_from_an_index_that_is_blocked(elasticsearch_url: str) -> None:
    settings = settings_for(elasticsearch_url)
    writer = ElasticsearchWriter(settings)
    writer.ensure(STAMP)
    with pytest.raises(PassageRefused, match=r"index of zero:0 failed with 400.*\(1 failed\)"):
        writer.put([passage("a"), passage("zero", vector=np.zeros(8, dtype=np.float32)), passage("b")])
    with pytest.raises(PassageRefused, match=r"refuses passages .* with 400"):
        writer.put([passage("x" * 600)])  # the engine refuses the whole call
    with Elasticsearch(elasticsearch_url) as client:
        client.indices.put_settings(index=settings.index, settings={"index.blocks.write": True})
        with pytest.raises(SearchUnavailable, match="403, cluster_block_exception"):
            writer.put([passage("c")])
        client.indices.put_settings(index=settings.index, settings={"index.blocks.write": False})
        client.indices.close(index=settings.index)
        with pytest.raises(SearchUnavailable, match="index_closed_exception"):
            writer.put([passage("c")])
    assert writer.breaker.state == "closed"
    _drop(elasticsearch_url, settings)
    writer.close()


@pytest.mark.integration
def test_a_refused_passage_is_named_and_the_others_are_kept(elasticsearch_url: str) -> None:
    settings = settings_for(elasticsearch_url)
    writer = ElasticsearchWriter(settings)
    writer.ensure(STAMP)
    wrong = passage("wrong", vector=np.ones(5, dtype=np.float32))
    with pytest.raises(SearchUnavailable, match=r"index of wrong:0 failed with 400.*\(1 failed\)"):
        writer.put([passage("a"), wrong, passage("b")])
    writer.refresh()
    assert writer.count() == 2
    assert writer.breaker.state == "closed"  # a refusal is no illness of the engine
    _drop(elasticsearch_url, settings)
    writer.close()


@pytest.mark.integration
def test_writing_without_the_alias_makes_no_index_by_accident(elasticsearch_url: str) -> None:
    settings = settings_for(elasticsearch_url)
    writer = ElasticsearchWriter(settings)
    with pytest.raises(SearchUnavailable, match="index of d:0"):
        writer.put([passage("d")])
    with Elasticsearch(elasticsearch_url) as client:
        assert not client.indices.exists(index=settings.index)
    writer.close()


@asynccontextmanager
async def scripted_engine(*answers: tuple[int, object]) -> AsyncIterator[tuple[str, list[bytes]]]:
    """An HTTP server that gives the answers in turn (the last one for ever) and keeps the request bodies; status 0 never answers."""
    left, bodies = list(answers), list[bytes]()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                sizes = [int(line.split(b":")[1]) for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")]
                bodies.append(await reader.readexactly(sizes[0] if sizes else 0))
                status, body = left.pop(0) if len(left) > 1 else left[0]
                if status == 0:
                    await asyncio.Event().wait()
                data = json.dumps(body).encode()
                line = f"HTTP/1.1 {status} X\r\nX-Elastic-Product: Elasticsearch\r\nContent-Type: application/json\r\nContent-Length: {len(data)}\r\n\r\n"
                writer.write(line.encode() + data)
        except (asyncio.IncompleteReadError, ConnectionError):
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}", bodies
    finally:
        server.close()


async def test_passages_refused_as_too_many_are_sent_again_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("app.search.elasticsearch.writer.BULK_WAIT_SECONDS", 0.01)
    busy = {"index": {"_id": "b:0", "status": 429, "error": {"type": "es_rejected_execution_exception", "reason": "full"}}}
    first = {"errors": True, "items": [{"index": {"_id": "a:0", "status": 201}}, busy]}
    async with scripted_engine((200, first), (200, {"errors": False, "items": [{"index": {"_id": "b:0", "status": 201}}]})) as (
        url,
        bodies,
    ):
        writer = ElasticsearchWriter(settings_for(url))
        await asyncio.to_thread(writer.put, [passage("a"), passage("b")])
        writer.close()
    sent = [[json.loads(line)["index"]["_id"] for line in body.splitlines()[::2]] for body in bodies]
    assert sent == [["a:0", "b:0"], ["b:0"]]


MAPPING = {
    "i-000001": {"mappings": {"_meta": {"stamp": {"model": STAMP.model, "digest": STAMP.digest, "dimensions": STAMP.dimensions}}}}
}
NOTHING = {"responses": [{"status": 200, "hits": {"hits": []}}]}


async def test_a_busy_engine_is_asked_again_within_the_deadline() -> None:
    busy = {"responses": [{"status": 429, "error": {"reason": "queue full"}}]}
    async with scripted_engine((200, MAPPING), (200, busy), (503, {}), (200, NOTHING)) as (url, bodies):
        reader = ElasticsearchReader(settings_for(url), STAMP)
        assert not (await reader.candidates(SearchQuery("tide", None, 10))).lexical
        assert len(bodies) == 4
        assert reader.breaker.state == "closed"
        await reader.close()


async def test_a_request_that_meets_a_dead_node_is_answered_by_another_one_within_the_deadline() -> None:
    async with scripted_engine((200, MAPPING), (0, {}), (200, NOTHING)) as (url, bodies):
        reader = ElasticsearchReader(settings_for(url).model_copy(update={"search_timeout_seconds": 2.0}), STAMP)
        assert not (await reader.candidates(SearchQuery("tide", None, 10))).lexical
        assert len(bodies) == 3
        assert bodies[1] == bodies[2]
        await reader.close()


async def test_an_engine_that_hangs_is_given_up_at_the_deadline_and_then_left_alone() -> None:
    async with scripted_engine((0, {})) as (url, bodies):
        reader = ElasticsearchReader(settings_for(url).model_copy(update={"search_timeout_seconds": 0.2}), STAMP)
        for _ in range(5):
            start = time.monotonic()
            with pytest.raises(SearchUnavailable):
                await reader.candidates(SearchQuery("tide", None, 10))
            assert time.monotonic() - start < 1.0
        assert reader.breaker.state == "open"
        asked = len(bodies)
        with pytest.raises(SearchUnavailable, match="pause") as refused:
            await reader.candidates(SearchQuery("tide", None, 10))
        assert len(bodies) == asked
        assert refused.value.retry_after_seconds == 5
        await reader.close()


def test_credentials_and_ca_reach_the_client(tmp_path: Path) -> None:
    given: dict[str, Any] = {"elasticsearch_url": "https://search.internal", "elasticsearch_ca": tmp_path / "ca.pem"}
    assert client_options(Settings(elasticsearch_api_key="k", **given), timeout_seconds=2) == {
        "hosts": ["https://search.internal:443"], "request_timeout": 2, "max_retries": 0, "retry_on_timeout": False, "api_key": "k", "ca_certs": str(tmp_path / "ca.pem"),
    }  # fmt: skip
    password = client_options(Settings(elasticsearch_username="u", elasticsearch_password="p", **given), timeout_seconds=2)
    assert password["basic_auth"] == ("u", "p")


def _drop(url: str, settings: Settings) -> None:
    with Elasticsearch(url) as client:
        client.indices.delete(index=f"{settings.index}-*", ignore_unavailable=True)
        client.options(ignore_status=404).indices.delete_index_template(name=f"{settings.index}-passages")
