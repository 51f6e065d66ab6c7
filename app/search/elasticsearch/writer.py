"""The writer for Elasticsearch 8.19 or 9."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final, TypeVar

import stamina
from elasticsearch import BadRequestError, Elasticsearch
from elasticsearch.helpers import BulkIndexError, streaming_bulk

from app.errors import SearchUnavailable
from app.models.port import Stamp
from app.search.elasticsearch.connection import breaker, client_options, is_transient, map_client_errors, map_refused_writes
from app.search.elasticsearch.mappings import document_body, first_index, index_mappings, index_template, stamp_of
from app.search.port import Passage, check_stamp
from app.settings import Settings

T = TypeVar("T")
WRITE_ATTEMPTS: Final = 6
WRITE_DEADLINE_SECONDS: Final = 60.0  # a restart of the engine takes about 20 s; after this deadline the job itself is retried
WRITE_CALL_SECONDS: Final = 30.0
BULK_ITEMS: Final = 200  # about 1.5 MB of passages with vectors as JSON
BULK_BYTES: Final = 5_000_000
BULK_RETRIES: Final = 6  # of items refused with 429, waiting 0.5 s, 1 s, 2 s ... 8 s between
BULK_WAIT_SECONDS: Final = 0.5
BULK_LONGEST_WAIT_SECONDS: Final = 8.0
DELETE_ITEMS: Final = 1_000


class ElasticsearchWriter:
    """Sync writer for the worker. Every write is by id, so that a retry is idempotent."""

    def __init__(self, settings: Settings) -> None:
        self._settings, self._alias = settings, settings.index
        self._client = Elasticsearch(**client_options(settings, timeout_seconds=WRITE_CALL_SECONDS))
        self.breaker = breaker("elasticsearch-write")
        self._retry = stamina.RetryingCaller(
            attempts=WRITE_ATTEMPTS, timeout=WRITE_DEADLINE_SECONDS, wait_initial=0.2, wait_max=10.0, wait_jitter=1.0
        )

    def ensure(self, stamp: Stamp) -> str:
        with map_client_errors(self._settings.elasticsearch_url, self._alias):
            self._call(
                lambda: self._client.indices.put_index_template(name=f"{self._alias}-passages", **index_template(self._settings))
            )
            if not self._call(lambda: self._client.indices.exists_alias(name=self._alias)):
                self._create(stamp)
            mapping = self._call(lambda: self._client.indices.get_mapping(index=self._alias))
            index, found = stamp_of(dict(mapping), self._alias)
        check_stamp(found, stamp, f"The index {index}")
        return index

    def put(self, passages: Sequence[Passage]) -> None:
        actions = [
            {"_op_type": "index", "_index": self._alias, "_id": passage.id, "_source": document_body(passage)}
            for passage in passages
        ]
        with map_client_errors(self._settings.elasticsearch_url, self._alias), map_refused_writes(self._alias):
            self._call(lambda: self._bulk(actions))

    def delete_document(self, document_id: str, *, keep_below: int = 0) -> int:
        # Deletes by search and bulk, because `_delete_by_query` belongs to a module that not every distribution has.
        query = {"bool": {"filter": [{"term": {"document_id": document_id}}, {"range": {"ordinal": {"gte": keep_below}}}]}}
        removed = 0
        with map_client_errors(self._settings.elasticsearch_url, self._alias):
            while True:
                self.refresh()  # the passages may be new, and a search sees only what was refreshed
                found = self._call(lambda: self._client.search(index=self._alias, query=query, size=DELETE_ITEMS, source=False))
                ids = [hit["_id"] for hit in found["hits"]["hits"]]
                removed += len(ids)
                if ids:
                    self._remove(ids)
                if len(ids) < DELETE_ITEMS:
                    return removed

    def refresh(self) -> None:
        with map_client_errors(self._settings.elasticsearch_url, self._alias):
            self._call(lambda: self._client.indices.refresh(index=self._alias))

    def count(self, document_id: str | None = None) -> int:
        query = {"match_all": {}} if document_id is None else {"term": {"document_id": document_id}}
        with map_client_errors(self._settings.elasticsearch_url, self._alias):
            return int(self._call(lambda: self._client.count(index=self._alias, query=query))["count"])

    def document_ids(self, *, after: str | None, limit: int) -> list[str]:
        each: dict[str, Any] = {"size": limit, "sources": [{"document": {"terms": {"field": "document_id"}}}]}
        if after is not None:
            each["after"] = {"document": after}
        return [str(bucket["key"]["document"]) for bucket in self._buckets({"composite": each})]

    def tally(self, document_ids: Sequence[str]) -> dict[str, int]:
        if not document_ids:
            return {}
        found = self._buckets(
            {"terms": {"field": "document_id", "size": len(document_ids)}}, {"terms": {"document_id": list(document_ids)}}
        )
        return {str(bucket["key"]): int(bucket["doc_count"]) for bucket in found}

    def drop(self) -> bool:
        gone = self._client.options(ignore_status=404)
        with map_client_errors(self._settings.elasticsearch_url, self._alias):
            behind = self._call(lambda: gone.indices.get_alias(name=self._alias))
            names = list(behind) if behind.meta.status == 200 else []
            if names:
                self._call(lambda: gone.indices.delete(index=names))
            self._call(lambda: gone.indices.delete_index_template(name=f"{self._alias}-passages"))
        return bool(names)

    def close(self) -> None:
        self._client.close()

    def _buckets(self, aggregation: dict[str, Any], query: dict[str, Any] | None = None) -> list[Any]:
        with map_client_errors(self._settings.elasticsearch_url, self._alias):
            found = self._call(
                lambda: self._client.search(index=self._alias, size=0, query=query, aggregations={"found": aggregation})
            )
        return list(found["aggregations"]["found"]["buckets"])

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
            # If the alias exists, another worker has created the index first.
            if not self._call(lambda: self._client.indices.exists_alias(name=self._alias)):
                raise SearchUnavailable(
                    f"The index {first_index(self._alias)} exists but no alias {self._alias} names it: remove it or add the alias."
                ) from error

    def _remove(self, ids: Sequence[str]) -> None:
        actions = [{"_op_type": "delete", "_index": self._alias, "_id": one} for one in ids]
        self._call(lambda: self._bulk(actions, ignore_status=(404,)))  # 404: it is already removed

    def _bulk(self, actions: Sequence[dict[str, Any]], ignore_status: tuple[int, ...] = ()) -> None:
        """Send a bulk request; items refused with 429 are sent again alone. Raises
        `BulkIndexError` with every item that failed."""
        results = streaming_bulk(
            self._client,
            actions,
            chunk_size=BULK_ITEMS,
            max_chunk_bytes=BULK_BYTES,
            raise_on_error=False,  # True would raise before the refused items are sent again
            max_retries=BULK_RETRIES,
            initial_backoff=BULK_WAIT_SECONDS,
            max_backoff=BULK_LONGEST_WAIT_SECONDS,
            require_alias=True,
        )
        failed = [item for ok, item in results if not ok and next(iter(item.values()))["status"] not in ignore_status]
        if failed:
            raise BulkIndexError(f"{len(failed)} failed", failed)

    def _call(self, work: Callable[[], T]) -> T:
        guarded: Callable[[], T] = self.breaker.decorate(lambda: work())
        return self._retry(is_transient, guarded)
