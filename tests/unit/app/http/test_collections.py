"""What a key may see is in every query and in every cache key, whatever is asked."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from starlette.requests import Request

from app.answering.cache import Cache
from app.catalog.keys import Principal
from app.errors import Forbidden, NotFound
from app.http.dependencies import Service, open_service
from app.http.routes import ask, search
from app.http.routes.search import to_filters
from app.http.schemas import AskIn, FiltersIn, SearchIn
from app.settings import Settings
from tests.services.migrated import migrated

names = st.sampled_from(("red", "green", "blue"))
holders = st.none() | st.lists(names, unique=True, max_size=3).map(tuple)
wishes = st.builds(
    FiltersIn,
    collections=st.none() | st.lists(names, min_size=1, max_size=3),
    document_ids=st.none() | st.lists(st.sampled_from(("d1", "d2", "')")), min_size=1, max_size=3),
    sources=st.none() | st.lists(st.sampled_from(("s", "red")), min_size=1, max_size=2),
    metadata=st.just({}) | st.just({"collection": "red"}),
)
# Few texts and numbers, so that equal requests of unequal keys are common.
searches = st.builds(SearchIn, query=st.sampled_from(("moon", "tide")), top_k=st.sampled_from((5, 9)), filters=wishes)
questions = st.builds(AskIn, question=st.sampled_from(("moon?", "tide?")), top_k=st.sampled_from((3, 6)), filters=wishes)
often = settings(max_examples=300, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True, database=None)


def holder(collections: tuple[str, ...] | None) -> Principal:
    return Principal("0123456789ab", "n", "reader", collections)


@given(held=holders, wish=wishes)
@often
def test_what_is_searched_lies_within_what_the_key_holds(held: tuple[str, ...] | None, wish: FiltersIn) -> None:
    try:
        found = to_filters(wish, holder(held)).collections
    except Forbidden:
        assert held is not None
        assert set(wish.collections or ()) - set(held)
        return
    if held is not None:
        assert found is not None, "None means all collections"
        assert set(found) <= set(held)
    if wish.collections is not None:
        assert found is not None
        assert set(found) <= set(wish.collections)


class Noted(Exception):
    """Carries the cache key that a route was about to look up."""


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    config = Settings(state_dir=tmp_path_factory.mktemp("service"), embedding="none")
    migrated(config.sqlalchemy_url())
    made = open_service(config)
    with pytest.MonkeyPatch.context() as patch:

        def note(_: Cache, kind: str, key: str) -> bytes:
            raise Noted(key)

        patch.setattr(Cache, "local", note)
        yield made
    asyncio.run(made.close())


def cache_key(service: Service, body: SearchIn | AskIn, who: Principal) -> str:
    """The key under which the route itself would look for this answer."""
    request = Request({"type": "http", "headers": []})
    try:
        if isinstance(body, SearchIn):
            asyncio.run(search.search(body, request, service, who))
        else:
            asyncio.run(ask.ask(body, request, service, who))
    except Noted as noted:
        return str(noted)
    raise AssertionError("the route looked into no cache")


@pytest.mark.parametrize("bodies", [searches, questions], ids=["search", "ask"])
def test_two_requests_share_a_cached_answer_only_if_they_may_see_the_same(service: Service, bodies: Any) -> None:
    shared = 0

    @often
    @given(one=bodies, other=bodies, held=holders, held_by_other=holders)
    def each(one: Any, other: Any, held: Any, held_by_other: Any) -> None:
        nonlocal shared
        try:
            filters, others = to_filters(one.filters, holder(held)), to_filters(other.filters, holder(held_by_other))
        except Forbidden:
            assume(False)
            return
        same = cache_key(service, one, holder(held)) == cache_key(service, other, holder(held_by_other))
        alike = one.model_dump(exclude={"filters"}) == other.model_dump(exclude={"filters"})
        assert same == (alike and filters == others)
        shared += same

    each()
    assert shared > 0, "no two requests were alike: nothing was shown"


def test_a_cached_document_says_its_collection_and_is_no_answer_without_it(tmp_path: Path) -> None:
    """Documents are cached once for all keys: the value, not its key, says who may have it."""
    from app.http.routes import documents

    config = Settings(state_dir=tmp_path, embedding="none")
    migrated(config.sqlalchemy_url())
    made = open_service(config)

    async def held(_: Cache, key: str) -> bytes:
        return b'red\n{"id": "d"}'

    async def get(collections: tuple[str, ...] | None) -> str:
        return str((await documents.get("d", made, holder(collections))).headers["x-cache"])

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Cache, "shared_get", held)
        assert [asyncio.run(get(allowed)) for allowed in (None, ("red",), ("green", "red"))] == ["hit-redis"] * 3
        for refused in ((), ("green",), ("re",), ("red\n",)):
            with pytest.raises(NotFound):
                asyncio.run(get(refused))
    asyncio.run(made.close())
