"""Ingests the corpus with Teal, and copies Teal's index into those for Haystack's and LlamaIndex's stores, with the same texts,
stems and vectors."""

from __future__ import annotations

import asyncio
import json
import time
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Final

from loadtests.bench import client

_PAGE: Final = 500
_SECONDS: Final = 60
_INGEST_SECONDS: Final = 300.0


def ingest_documents(port: int, key: str, documents: Sequence[tuple[str, str]]) -> int:
    """Send the documents to Teal and wait until all are findable; returns the number of passages."""
    headers = {"Authorization": f"Bearer {key}", "Content-Type": "application/json"}
    posts = [client.post_request("/v1/documents", json.dumps({"title": a, "text": b}).encode(), headers) for a, b in documents]
    sample = asyncio.run(client.run_closed_loop(port, posts, clients=1))
    if set(sample.statuses) != {202}:
        raise RuntimeError(f"documents were answered with {sample.statuses}: {sample.last_body[:500]!r}")
    began = time.monotonic()
    request = urllib.request.Request(f"http://127.0.0.1:{port}/v1/status", headers=headers)
    while time.monotonic() - began < _INGEST_SECONDS:
        with urllib.request.urlopen(request, timeout=10) as answer:  # noqa: S310
            status = json.load(answer)
        if status["documents"]["indexed"] == len(documents):
            return int(status["search"]["passages"])
        time.sleep(0.5)
    raise TimeoutError(f"ingestion did not end within {_INGEST_SECONDS:.0f} s: {status}")


class ElasticsearchClient:
    """A simple client of Elasticsearch, used only before the measurements."""

    def __init__(self, address: str) -> None:
        self._address = address

    def call(self, method: str, path: str, body: bytes | dict[str, Any] | None = None) -> dict[str, Any]:
        """Raises `urllib.error.HTTPError`."""
        kind = "application/x-ndjson" if isinstance(body, bytes) else "application/json"
        data = body if isinstance(body, bytes) or body is None else json.dumps(body).encode()
        request = urllib.request.Request(self._address + path, data, {"Content-Type": kind}, method=method)  # noqa: S310
        with urllib.request.urlopen(request, timeout=_SECONDS) as answer:  # noqa: S310
            found: dict[str, Any] = json.load(answer)
        return found

    def documents(self, index: str) -> Iterator[dict[str, Any]]:
        """Every passage of Teal's index as it is stored, with its id."""
        after: list[Any] | None = None
        while True:
            asked: dict[str, Any] = {"size": _PAGE, "sort": ["document_id", "ordinal"]}
            hits = self.call("POST", f"/{index}/_search", asked | ({"search_after": after} if after else {}))["hits"]["hits"]
            yield from ({"_id": hit["_id"], **hit["_source"]} for hit in hits)
            if len(hits) < _PAGE:
                return
            after = hits[-1]["sort"]


def haystack_index(*, returns_vectors: bool) -> dict[str, Any]:
    """elasticsearch-haystack's own mapping, plus a field of stems that is searched instead of `content`.

    The Elasticsearch of the tests has no stemmer, so stems are made outside, as Teal does; they are never returned.
    """
    hidden = ["words"] if returns_vectors else ["words", "embedding"]
    return {
        "settings": {"number_of_replicas": 0, "index.query.default_field": ["words"]},
        "mappings": {
            "_source": {"excludes": hidden},
            "properties": {
                "embedding": {"type": "dense_vector", "index": True, "similarity": "cosine"},
                "content": {"type": "text"},
                "words": {"type": "text", "analyzer": "whitespace"},
            },
            "dynamic_templates": [
                {"strings": {"path_match": "*", "match_mapping_type": "string", "mapping": {"type": "keyword"}}}
            ],
        },
    }


def copy_for_haystack(engine: ElasticsearchClient, source: str, target: str, *, returns_vectors: bool) -> int:
    """Fill the index `target`; returns its number of passages."""
    return _copy(engine, source, target, haystack_index(returns_vectors=returns_vectors), haystack_document)


def copy_for_llamaindex(engine: ElasticsearchClient, source: str, target: str) -> int:
    """Fill the index `target`; returns its number of passages."""
    return _copy(engine, source, target, LLAMAINDEX_INDEX, llamaindex_document)


def _copy(
    engine: ElasticsearchClient,
    source: str,
    target: str,
    index: dict[str, Any],
    document: Callable[[dict[str, Any]], dict[str, Any]],
) -> int:
    engine.call("PUT", f"/{target}", index)
    lines, count = list[str](), 0
    for one in engine.documents(source):
        lines += [json.dumps({"create": {"_id": one["_id"]}}), json.dumps(document(one))]
        count += 1
    answer = engine.call("POST", f"/{target}/_bulk?refresh=true", ("\n".join(lines) + "\n").encode())
    if answer["errors"]:
        raise RuntimeError(f"Elasticsearch did not take the corpus into {target}: {json.dumps(answer)[:500]}")
    return count


def haystack_document(passage: dict[str, Any]) -> dict[str, Any]:
    """A passage as elasticsearch-haystack stores a Document: metadata beside the content."""
    return {
        "id": passage["_id"],
        "content": passage["text"],
        "title": passage["title"],
        "words": passage["words"],
        "embedding": passage["vector"],
    }


LLAMAINDEX_INDEX: Final[dict[str, Any]] = {
    "settings": {"number_of_replicas": 0},
    "mappings": {
        "properties": {
            "embedding": {"type": "dense_vector", "index": True, "similarity": "cosine"},
            "content": {"type": "text"},
            "words": {"type": "text", "analyzer": "whitespace"},
            "metadata": {"properties": {name: {"type": "keyword"} for name in ("document_id", "doc_id", "ref_doc_id")}},
        }
    },
}
"""llama-index-vector-stores-elasticsearch's own mapping, plus a field of stems that is searched instead of `content`."""


def llamaindex_document(passage: dict[str, Any]) -> dict[str, Any]:
    """A passage as LlamaIndex's store writes a TextNode: a copy of the node as JSON in its metadata."""
    node = {
        "id_": passage["_id"],
        "embedding": None,
        "metadata": {"title": passage["title"]},
        "excluded_embed_metadata_keys": [],
        "excluded_llm_metadata_keys": [],
        "relationships": {},
        "metadata_template": "{key}: {value}",
        "metadata_separator": "\n",
        "text": "",
        "mimetype": "text/plain",
        "start_char_idx": None,
        "end_char_idx": None,
        "text_template": "{metadata_str}\n\n{content}",
        "class_name": "TextNode",
    }
    owner = dict.fromkeys(("document_id", "doc_id", "ref_doc_id"), "None")
    return {
        "content": passage["text"],
        "words": passage["words"],
        "embedding": passage["vector"],
        "metadata": {"title": passage["title"], "_node_content": json.dumps(node), "_node_type": "TextNode", **owner},
    }
