"""Search by Elasticsearch 8.19 or 9: BM25 over stems and kNN over quantised vectors, behind an alias."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from dataclasses import replace
from typing import Any, Final, TypeVar

import stamina
from elasticsearch import ApiError, AsyncElasticsearch, BadRequestError, ConnectionTimeout, NotFoundError

from app.errors import IndexMismatch
from app.models.port import Stamp
from app.search.elasticsearch.connection import FastJson, FastLines, breaker, client_options, is_transient, map_client_errors
from app.search.elasticsearch.hedge import HedgeBudget, hedged
from app.search.elasticsearch.mappings import SHOWN, passage, scores_of_hits, searches, stamp_of
from app.search.port import Candidates, IndexStatus, Passage, SearchQuery, check_stamp
from app.settings import Settings

T = TypeVar("T")
READ_ATTEMPTS: Final = 3  # within the deadline of `search_timeout_seconds`
SHORTEST_TRY_SECONDS: Final = 0.05  # a healthy engine answers in 10 ms
# The part of the deadline, 0.5 s of 2 s, after which a second request is sent beside the first. A healthy engine answers in 10 ms.
HEDGE_AFTER: Final = 0.25
PREFERENCE: Final = "_local"  # a node that has a copy asks no other one, which may be gone without a word
READ_WAIT_SECONDS: Final = 0.05  # before the third try; after an idle connection was closed, the second try succeeds at once
_PASSAGES: Final = ("docs._id", "docs._source")


class ElasticsearchReader:
    """Async reader: one `_msearch` for both lists, and one `_mget` for the texts. The stamp is read
    again when the alias names another index."""

    def __init__(self, settings: Settings, stamp: Stamp) -> None:
        self._url, self._alias, self._stamp = settings.elasticsearch_url, settings.index, stamp
        self._deadline_seconds, self._quantization = settings.search_timeout_seconds, settings.elasticsearch_quantization
        self._client = AsyncElasticsearch(
            **client_options(settings, timeout_seconds=settings.search_timeout_seconds),
            serializers={one.mimetype: one for one in (FastJson(), FastLines())},
        )
        self.breaker = breaker("elasticsearch-read")
        self._guarded: Callable[..., Coroutine[Any, Any, Any]] = self.breaker.decorate(self._try)
        self._retry = stamina.AsyncRetryingCaller(
            attempts=READ_ATTEMPTS - 1,
            timeout=settings.search_timeout_seconds,
            wait_initial=READ_WAIT_SECONDS,
            wait_max=0.5,
            wait_jitter=0.1,
        )
        self._hedges = HedgeBudget()
        self._known: tuple[str, Stamp] | None = None

    async def candidates(self, query: SearchQuery) -> Candidates:
        with map_client_errors(self._url, self._alias):
            _, stamp = self._known or await self._identify()
            if query.vector is not None and stamp.dimensions and query.vector.size != stamp.dimensions:
                raise IndexMismatch(f"The query's vector has {query.vector.size} dimensions, the index {stamp.dimensions}.")
            bodies = searches(query, stamp, self._quantization)
            if not bodies:
                return Candidates({}, {})
            lines: list[dict[str, Any]] = [
                line for _, body in bodies for line in ({"index": self._alias, "preference": PREFERENCE}, body)
            ]
            try:
                answer = await self._call(lambda client: _msearch(client, lines))
            except (BadRequestError, NotFoundError):
                await self._identify()  # raises IndexMismatch if the alias now names an index of another model
                raise
            hits = {name: response["hits"]["hits"] for (name, _), response in zip(bodies, answer, strict=True)}
            await self._notice_swap(hits)
        return Candidates(
            scores_of_hits(hits.get("lexical", []), cosine=False), scores_of_hits(hits.get("semantic", []), cosine=True)
        )

    async def passages(self, ids: Sequence[str]) -> dict[str, Passage]:
        if not ids:
            return {}
        with map_client_errors(self._url, self._alias):
            answer = await self._call(
                # Not `realtime`, which would refresh the index for a passage that was overwritten just now.
                lambda client: client.mget(
                    index=self._alias,
                    ids=list(ids),
                    realtime=False,
                    preference=PREFERENCE,
                    source_includes=SHOWN,
                    filter_path=_PASSAGES,
                )
            )
        return {one["_id"]: passage(one) for one in answer.get("docs", []) if "_source" in one}

    async def status(self) -> IndexStatus:
        with map_client_errors(self._url, self._alias):
            index, stamp = await self._identify()
            count = {"size": 0, "track_total_hits": True}
            lines: list[dict[str, Any]] = [
                {"index": index},
                count,
                {"index": index},
                {**count, "query": {"exists": {"field": "vector"}}},
            ]
            passages, vectors = (
                response["hits"]["total"]["value"] for response in await self._call(lambda client: _msearch(client, lines))
            )
        return IndexStatus(index, passages, vectors, stamp)

    async def close(self) -> None:
        await self._client.close()

    async def _identify(self) -> tuple[str, Stamp]:
        mapping = await self._call(lambda client: client.indices.get_mapping(index=self._alias))
        index, stamp = stamp_of(dict(mapping), self._alias)
        check_stamp(stamp, self._stamp, f"The index {index}")
        self._known = index, stamp
        return self._known

    async def _notice_swap(self, hits: Mapping[str, Sequence[Mapping[str, Any]]]) -> None:
        if self._known and any(found[0]["_index"] != self._known[0] for found in hits.values() if found):
            self._known = None
            await self._identify()

    async def _call(self, work: Callable[[AsyncElasticsearch], Awaitable[T]]) -> T:
        """Run `work` with retries under one deadline: each try may take the time that is left. For speed the retry library is
        used only after the first try has failed."""
        deadline = time.monotonic() + self._deadline_seconds
        try:
            found: T = await hedged(lambda: self._guarded(work, deadline), HEDGE_AFTER * self._deadline_seconds, self._hedges)
        except Exception as error:
            if not is_transient(error) or time.monotonic() >= deadline:
                raise
            found = await self._retry(is_transient, self._guarded, work, deadline)
        return found

    async def _try(self, work: Callable[[AsyncElasticsearch], Awaitable[T]], deadline: float) -> T:
        left = max(SHORTEST_TRY_SECONDS, deadline - time.monotonic())
        try:
            async with asyncio.timeout(left):  # `client.options` would copy the client with its 40 parts for each call
                return await work(self._client)
        except TimeoutError as error:
            raise ConnectionTimeout(f"no answer within {left:.2f} s") from error


async def _msearch(client: AsyncElasticsearch, lines: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """The responses of a multi-search. An error inside one is raised as an error of the whole call,
    so that retries and the breaker see it."""
    answer = await client.msearch(searches=lines)
    responses: list[dict[str, Any]] = answer["responses"]
    for response in responses:
        if "error" in response:
            kind = {400: BadRequestError, 404: NotFoundError}.get(response["status"], ApiError)
            raise kind(str(response["error"].get("reason")), meta=replace(answer.meta, status=response["status"]), body=response)
    return responses
