"""The sample of users' queries, as real processes record it, on both databases."""

from __future__ import annotations

import contextlib
import json
import signal
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import pyrage
import pytest
from sqlalchemy import select

from app.access.query_sample import sample_key
from app.catalog.engine import Catalog
from app.catalog.tables import SampledQueryRow
from app.settings import Settings
from teal.client.entry import PROBE_HEADER
from tests.parts.app.service import Service, add, sse, until
from tests.services import postgres_process

pytestmark = [pytest.mark.integration, pytest.mark.timeout(180)]
SECRET = "probes-of-this-test-alone"  # pragma: allowlist secret
TEXT = "How much does the unmistakable xylophone weigh?"


@pytest.fixture(params=["sqlite", "postgres"])
def database(request: pytest.FixtureRequest) -> Iterator[Mapping[str, str]]:
    if request.param == "sqlite":
        yield {}
        return
    with postgres_process.fresh_database(request.getfixturevalue("postgres_url")) as url:
        yield {"DATABASE_URL": url}


def rows(service: Service) -> list[SampledQueryRow]:
    url = service.environment.get("DATABASE_URL")
    settings = Settings.model_validate({"state_dir": service.folder / "data"} | ({"database_url": url} if url else {}))
    with contextlib.closing(Catalog(settings.sqlalchemy_url())) as catalog, catalog.read() as session:
        return list(session.scalars(select(SampledQueryRow).order_by(SampledQueryRow.kind.desc())))


def test_users_queries_are_sampled_and_probes_are_not_and_texts_go_when_the_setting_goes_back(
    tmp_path: Path, database: Mapping[str, str]
) -> None:
    settings = {"TEAL_EMBEDDING": "none", "TEAL_PROBE_SECRET": SECRET, "TEAL_QUERY_SAMPLE": "texts", **database}
    service = Service(tmp_path, settings).start()
    try:
        with service.client() as client:
            add(client, "Xylophone", "The unmistakable xylophone weighs seven kilograms.", collection="music")
        with service.client("reader", "music") as client:
            for path, body in (
                ("/v1/search", {"query": "a probe's xylophone"}),
                ("/v1/ask", {"question": "a probe's xylophone"}),
            ):
                assert client.post(path, json=body, headers={PROBE_HEADER: SECRET}).status_code == 200
            assert (
                client.post("/v1/search", json={"query": "xylophone", "top_k": 3, "filters": {"metadata": {}}}).status_code == 200
            )
            streamed(client, TEXT)
            chat = {"model": "teal:music", "messages": [{"role": "user", "content": TEXT}]}
            assert client.post("/v1/chat/completions", json=chat).status_code == 200
        service.kill("app-0", signal.SIGTERM)  # as it ends it writes what it has kept
        found = rows(service)
        assert [(row.kind, row.collections, row.hits, row.answered) for row in found] == [
            ("search", ["music"], 1, None), ("ask", ["music"], 1, True), ("ask", ["music"], 1, True),
        ]  # fmt: skip
        key = sample_key(tmp_path / "keys" / "query-sample.key")
        opened = [json.loads(pyrage.decrypt(row.request or b"", [key])) for row in found]
        assert opened[0] == {"query": "xylophone", "top_k": 3, "mode": "hybrid", "filters": {"metadata": {}}}
        assert [one["question"] for one in opened[1:]] == [TEXT, TEXT]
        assert found[1].text_hash == found[2].text_hash != found[0].text_hash

        until_moment = (datetime.now(UTC) + timedelta(minutes=5)).isoformat()
        about, scope, *queries = service.admin("queries", "sample", "--expires-at", until_moment)
        assert (about["keeps"], about["recorded"], about["left_out"]) == ("texts", 3, 0)
        assert sorted(one["path"] for one in queries) == ["/v1/ask", "/v1/search"]  # the same question twice is asked once
        assert all(json.loads(json.dumps(one["body"])) in opened for one in queries)
        made = next(key for key in service.admin("keys", "list") if key["id"] == scope["id"])
        assert (made["role"], made["collections"], scope["collections"]) == ("reader", ["music"], ["music"])
        assert made["expires_at"] is not None

        service.kill("worker", signal.SIGTERM)
        service.environment = {**service.environment, "TEAL_QUERY_SAMPLE": "hashes"}
        service.start_worker()
        until("the texts are gone", lambda: [row.request for row in rows(service)] == [None, None, None])
        (about,) = service.admin("queries", "sample", "--expires-at", until_moment)
        assert (about["keeps"], about["with_text"]) == ("hashes", 0)
    finally:
        service.stop()


def streamed(client: httpx.Client, question: str) -> None:
    with client.stream("POST", "/v1/ask", json={"question": question, "stream": True}) as response:
        assert sse(response)[-1][0] == "done"
