"""What is recorded of users' queries, and what is not."""

from __future__ import annotations

import json
import random
from collections import Counter
from pathlib import Path
from typing import Any

import pyrage
import pytest
from sqlalchemy import select

from app.access import query_sample
from app.access.query_sample import KEPT_EACH_INTERVAL, PROBE_MARK, QuerySampler, sample_key, text_hash
from app.catalog.engine import Catalog
from app.catalog.tables import SampledQueryRow
from app.http.schemas import AskIn, SearchIn
from app.settings import Settings

pytestmark = pytest.mark.anyio
TEXT = "what does the unmistakable Xylophone cost"
FOUND = json.dumps({"hits": [{}, {}]}).encode()


def settings(tmp_path: Path, said: str | None, **more: Any) -> Settings:
    return Settings.model_validate({"query_sample": said, "backup_key": tmp_path / "keys" / "backup.key", **more})


def search(text: str = TEXT, **more: Any) -> SearchIn:
    return SearchIn.model_validate({"query": text, **more})


def rows(catalog: Catalog) -> list[SampledQueryRow]:
    with catalog.read() as session:
        return list(session.scalars(select(SampledQueryRow).order_by(SampledQueryRow.kind.desc())))


def at_rest(tmp_path: Path) -> bytes:
    """Every byte of the database's files, the log of what was not merged yet included."""
    return b"".join(path.read_bytes() for path in tmp_path.glob("catalog.db*"))


async def test_a_laptop_keeps_by_default_a_hash_and_a_length_and_no_text(tmp_path: Path, catalog: Catalog) -> None:
    sampler = QuerySampler(catalog, settings(tmp_path, None))
    filters = {"collections": ["a"], "sources": ["the-secret-source"], "metadata": {"author": "Ada"}}
    sampler.offer({}, "search", search(filters=filters, mode="lexical"), ("a",), FOUND)
    answer = {"citations": [{}], "grounded": True}
    sampler.offer(
        {}, "ask", AskIn.model_validate({"question": TEXT, "history": [{"role": "user", "content": TEXT}]}), None, answer
    )
    await sampler.flush()
    one, other = rows(catalog)
    assert (one.kind, one.mode, one.top_k, one.collections, one.conditions) == (
        "search",
        "lexical",
        10,
        ["a"],
        ["metadata", "sources"],
    )
    assert (one.hits, one.answered, one.characters, one.request) == (2, None, len(TEXT), None)
    assert (other.kind, other.collections, other.hits, other.answered, other.request) == ("ask", None, 1, True, None)
    assert one.text_hash == other.text_hash == text_hash(TEXT, sample_key(tmp_path / "keys" / "query-sample.key"))
    for word in (b"Xylophone", b"the-secret-source", b"Ada"):
        assert word not in at_rest(tmp_path)


async def test_a_text_that_an_operator_asked_for_is_encrypted_and_its_key_opens_it(tmp_path: Path, catalog: Catalog) -> None:
    sampler = QuerySampler(catalog, settings(tmp_path, "texts"))
    sampler.offer({}, "search", search(filters={"collections": ["a"]}, explain=True), ("a",), FOUND)
    await sampler.flush()
    (row,) = rows(catalog)
    assert b"Xylophone" not in at_rest(tmp_path)
    file = tmp_path / "keys" / "query-sample.key"
    assert file.stat().st_mode & 0o777 == 0o600
    assert row.request is not None
    opened = json.loads(pyrage.decrypt(row.request, [sample_key(file)]))
    assert opened == {"query": TEXT, "top_k": 10, "mode": "hybrid", "filters": {"collections": ["a"], "metadata": {}}}


async def test_a_request_that_is_too_long_is_recorded_without_its_text(tmp_path: Path, catalog: Catalog) -> None:
    sampler = QuerySampler(catalog, settings(tmp_path, "texts"))
    sampler.offer({}, "search", search("x" * query_sample.MOST_REQUEST_BYTES), None, FOUND)
    await sampler.flush()
    assert [row.request for row in rows(catalog)] == [None]


async def test_a_release_s_probes_are_not_recorded(tmp_path: Path, catalog: Catalog) -> None:
    sampler = QuerySampler(catalog, settings(tmp_path, "hashes"))
    sampler.offer({PROBE_MARK: True}, "search", search(), None, FOUND)
    await sampler.flush()
    assert rows(catalog) == []


@pytest.mark.parametrize("more", [{"query_sample": "off"}, {"query_sample": None, "environment": "prod"}])
async def test_switched_off_and_by_default_elsewhere_than_on_a_laptop_nothing_is_recorded(
    tmp_path: Path, catalog: Catalog, more: dict[str, Any]
) -> None:
    sampler = QuerySampler(catalog, settings(tmp_path, None, **more))
    sampler.offer({}, "search", search(), None, FOUND)
    await sampler.flush()
    assert rows(catalog) == []
    assert not (tmp_path / "keys").exists()


async def test_of_an_interval_a_few_are_kept_each_with_the_same_probability(tmp_path: Path, catalog: Catalog) -> None:
    chance, kept = random.Random(7), Counter[int]()
    sampler = QuerySampler(catalog, settings(tmp_path, "hashes"), draw=chance.random)
    for _ in range(200):
        for number in range(20):
            sampler.offer({}, "search", search("x" * (number + 1)), None, FOUND)
        await sampler.flush()
    for row in rows(catalog):
        kept[row.characters] += 1
    assert sum(kept.values()) == 200 * KEPT_EACH_INTERVAL
    # Each of the 20 is expected 30 times with a deviation of 5; four deviations are exceeded by one of 20 in about one seed of 800.
    assert all(10 <= kept[number] <= 50 for number in range(1, 21)), kept


async def test_a_key_that_cannot_be_made_ends_the_sample_and_nothing_else(
    tmp_path: Path, catalog: Catalog, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "keys").write_text("a file where the folder should be")
    sampler = QuerySampler(catalog, settings(tmp_path, "hashes"))
    sampler.offer({}, "search", search(), None, FOUND)
    await sampler.flush()
    assert sampler.off
    assert "query-sample.key" in caplog.text


def test_without_the_key_a_hash_tells_nothing(tmp_path: Path) -> None:
    one, other = (sample_key(tmp_path / name) for name in ("one", "other"))
    assert text_hash(TEXT, one) == text_hash(TEXT, sample_key(tmp_path / "one"))
    assert text_hash(TEXT, one) != text_hash(TEXT, other)
