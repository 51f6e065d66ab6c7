"""Search by Elasticsearch 8.19 or 9: BM25 over stems and kNN over quantised vectors, behind an alias."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, Final, TypeVar

import stamina
from elasticsearch import ApiError, AsyncElasticsearch, BadRequestError, ConnectionTimeout, Elasticsearch, NotFoundError
from elasticsearch.helpers import BulkIndexError, streaming_bulk

from app.errors import IndexMismatch, SearchUnavailable
from app.search.elasticsearch_connection import ANSWERS, FastJson, breaker, client_options, mapped, passing, refusals
from app.search.elasticsearch_index import (
    SHOWN,
    document,
    first_index,
    index_mappings,
    passage,
    scores,
    searches,
    stamp_of,
    template,
)
from app.search.embedded_schema import check_stamp
from app.search.port import Candidates, IndexStatus, Passage, Query, Stamp
from app.settings import Settings

T = TypeVar("T")
READ_ATTEMPTS: Final = 3  # within the deadline of `search_timeout_seconds`
SHORTEST_TRY_SECONDS: Final = 0.05  # a healthy engine answers in 10 ms
READ_WAIT_SECONDS: Final = 0.05  # a connection that was closed while idle succeeds at once on the next try
WRITE_ATTEMPTS: Final = 6
WRITE_DEADLINE_SECONDS: Final = 60.0  # an engine restart takes about 20 s; after it the job itself is retried
WRITE_CALL_SECONDS: Final = 30.0
BULK_ITEMS: Final = 200  # about 1.5 MB of passages with vectors as JSON
BULK_BYTES: Final = 5_000_000
BULK_RETRIES: Final = 6  # of items refused with 429, waiting 0.5 s, 1 s, 2 s ... 8 s between
BULK_WAIT_SECONDS: Final = 0.5
BULK_LONGEST_WAIT_SECONDS: Final = 8.0
DELETE_ITEMS: Final = 1_000
# What is used of an answer: the rest of each of 200 hits would only be written, sent and parsed.
_SCORES: Final = ("responses.status", "responses.error", *(f"responses.hits.hits.{name}" for name in ("_index", "_id", "_score")))
_PASSAGES: Final = ("docs._id", "docs._source")


class ElasticsearchReader:
    """Async; both lists in one `_msearch`, the returned texts in one `_mget`. The stamp is read once for each index the alias is seen to name."""

    def __init__(self, settings: Settings, stamp: Stamp) -> None:
        self._url, self._alias, self._stamp = settings.elasticsearch_url, settings.index, stamp
        self._deadline_seconds = settings.search_timeout_seconds
        self._client = AsyncElasticsearch(
            **client_options(settings, timeout_seconds=settings.search_timeout_seconds), serializers={ANSWERS: FastJson()}
        )
        self._breaker = breaker("elasticsearch-read")
        self._retry = stamina.AsyncRetryingCaller(
            attempts=READ_ATTEMPTS,
            timeout=settings.search_timeout_seconds,
            wait_initial=READ_WAIT_SECONDS,
            wait_max=0.5,
            wait_jitter=0.1,
        )
        self._known: tuple[str, Stamp] | None = None

    async def candidates(self, query: Query) -> Candidates:
        with mapped(self._url, self._alias):
            _, stamp = self._known or await self._identify()
            if query.vector is not None and stamp.dimensions and query.vector.size != stamp.dimensions:
                raise IndexMismatch(f"The query's vector has {query.vector.size} dimensions, the index {stamp.dimensions}.")
            bodies = searches(query, stamp)
            if not bodies:
                return Candidates([], [])
            lines: list[dict[str, Any]] = [line for _, body in bodies for line in ({"index": self._alias}, body)]
            try:
                answer = await self._call(lambda client: _msearch(client, lines, _SCORES))
            except (BadRequestError, NotFoundError):
                await self._identify()  # the alias may name another model's index by now: then this raises IndexMismatch
                raise
            hits = {name: response.get("hits", {}).get("hits", []) for (name, _), response in zip(bodies, answer, strict=True)}
            await self._notice_swap(hits)
        return Candidates(scores(hits.get("lexical", []), cosine=False), scores(hits.get("semantic", []), cosine=True))

    async def passages(self, ids: Sequence[str]) -> dict[str, Passage]:
        if not ids:
            return {}
        with mapped(self._url, self._alias):
            answer = await self._call(
                # Not `realtime`: that would refresh the index for a passage that was overwritten a moment ago.
                lambda client: client.mget(
                    index=self._alias, ids=list(ids), realtime=False, source_includes=SHOWN, filter_path=_PASSAGES
                )
            )
        return {one["_id"]: passage(one) for one in answer.get("docs", []) if "_source" in one}

    async def status(self) -> IndexStatus:
        with mapped(self._url, self._alias):
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

    def breaker_state(self) -> str:
        """`closed`, `open` or `half_open`."""
        return str(self._breaker.state)

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
        """One deadline for all tries: each may take what is left of it."""
        deadline = time.monotonic() + self._deadline_seconds

        async def once() -> T:
            left = max(SHORTEST_TRY_SECONDS, deadline - time.monotonic())
            try:
                async with asyncio.timeout(left):  # `client.options` would make the client and its 40 parts anew, for each call
                    return await work(self._client)
            except TimeoutError as error:
                raise ConnectionTimeout(f"no answer within {left:.2f} s") from error

        guarded: Callable[[], Awaitable[T]] = self._breaker.decorate(once)
        return await self._retry(passing, guarded)


class ElasticsearchWriter:
    """Sync, for the worker. Every write is by id, so a retry never doubles anything."""

    def __init__(self, settings: Settings) -> None:
        self._settings, self._alias = settings, settings.index
        self._client = Elasticsearch(**client_options(settings, timeout_seconds=WRITE_CALL_SECONDS))
        self._breaker = breaker("elasticsearch-write")
        self._retry = stamina.RetryingCaller(
            attempts=WRITE_ATTEMPTS, timeout=WRITE_DEADLINE_SECONDS, wait_initial=0.2, wait_max=10.0, wait_jitter=1.0
        )

    def ensure(self, stamp: Stamp) -> str:
        with mapped(self._settings.elasticsearch_url, self._alias):
            self._call(
                lambda: self._client.indices.put_index_template(name=f"{self._alias}-passages", **template(self._settings))
            )
            if not self._call(lambda: self._client.indices.exists_alias(name=self._alias)):
                self._create(stamp)
            mapping = self._call(lambda: self._client.indices.get_mapping(index=self._alias))
            index, found = stamp_of(dict(mapping), self._alias)
        check_stamp(found, stamp, f"The index {index}")
        return index

    def put(self, passages: Sequence[Passage]) -> None:
        actions = [
            {"_op_type": "index", "_index": self._alias, "_id": passage.id, "_source": document(passage)} for passage in passages
        ]
        with mapped(self._settings.elasticsearch_url, self._alias), refusals(self._alias):
            self._call(lambda: self._bulk(actions))

    def delete_document(self, document_id: str, *, keep_below: int = 0) -> int:
        # By search and bulk: `_delete_by_query` belongs to a module that not every distribution has.
        query = {"bool": {"filter": [{"term": {"document_id": document_id}}, {"range": {"ordinal": {"gte": keep_below}}}]}}
        removed = 0
        with mapped(self._settings.elasticsearch_url, self._alias):
            while True:
                self.publish()  # a search sees only what was refreshed, and the passages may be a moment old
                found = self._call(lambda: self._client.search(index=self._alias, query=query, size=DELETE_ITEMS, source=False))
                ids = [hit["_id"] for hit in found["hits"]["hits"]]
                removed += len(ids)
                if ids:
                    self._remove(ids)
                if len(ids) < DELETE_ITEMS:
                    return removed

    def publish(self) -> None:
        with mapped(self._settings.elasticsearch_url, self._alias):
            self._call(lambda: self._client.indices.refresh(index=self._alias))

    def count(self, document_id: str | None = None) -> int:
        query = {"match_all": {}} if document_id is None else {"term": {"document_id": document_id}}
        with mapped(self._settings.elasticsearch_url, self._alias):
            return int(self._call(lambda: self._client.count(index=self._alias, query=query))["count"])

    def breaker_state(self) -> str:
        """`closed`, `open` or `half_open`."""
        return str(self._breaker.state)

    def close(self) -> None:
        self._client.close()

    def _create(self, stamp: Stamp) -> None:
        mappings = index_mappings(stamp, self._settings.elasticsearch_quantization)
        try:
            self._call(
                lambda: self._client.indices.create(
                    index=first_index(self._alias),
                    mappings=mappings,
                    aliases={self._alias: {"is_write_index": True}},
                    wait_for_active_shards=1,
                )
            )
        except BadRequestError as error:
            if error.error != "resource_already_exists_exception":
                raise
            if not self._call(lambda: self._client.indices.exists_alias(name=self._alias)):  # else another worker was faster
                raise SearchUnavailable(
                    f"The index {first_index(self._alias)} exists but no alias {self._alias} names it: remove it or add the alias."
                ) from error

    def _remove(self, ids: Sequence[str]) -> None:
        actions = [{"_op_type": "delete", "_index": self._alias, "_id": one} for one in ids]
        self._call(lambda: self._bulk(actions, ignore_status=(404,)))  # already gone is as wanted

    def _bulk(self, actions: Sequence[dict[str, Any]], ignore_status: tuple[int, ...] = ()) -> None:
        """Raises `BulkIndexError` with every failed item, after those refused as too many (429) were sent again, alone."""
        results = streaming_bulk(
            self._client,
            actions,
            chunk_size=BULK_ITEMS,
            max_chunk_bytes=BULK_BYTES,
            raise_on_error=False,  # it would raise before sending the refused ones again
            max_retries=BULK_RETRIES,
            initial_backoff=BULK_WAIT_SECONDS,
            max_backoff=BULK_LONGEST_WAIT_SECONDS,
            require_alias=True,
        )
        failed = [item for ok, item in results if not ok and next(iter(item.values()))["status"] not in ignore_status]
        if failed:
            raise BulkIndexError(f"{len(failed)} failed", failed)

    def _call(self, work: Callable[[], T]) -> T:
        guarded: Callable[[], T] = self._breaker.decorate(lambda: work())
        return self._retry(passing, guarded)


async def _msearch(
    client: AsyncElasticsearch, lines: Sequence[Mapping[str, Any]], filter_path: Sequence[str] | None = None
) -> list[dict[str, Any]]:
    """The answers; an error inside one is raised as if the whole call had it, so that retries and the breaker see it."""
    answer = await client.msearch(searches=lines, filter_path=filter_path)
    responses: list[dict[str, Any]] = answer["responses"]
    for response in responses:
        if "error" in response:
            kind = {400: BadRequestError, 404: NotFoundError}.get(response["status"], ApiError)
            raise kind(str(response["error"].get("reason")), meta=replace(answer.meta, status=response["status"]), body=response)
    return responses
