"""The Elasticsearch index as plain data: its template and mappings, and the bodies of queries and documents."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, Final

from app.errors import SearchUnavailable
from app.models.port import Stamp
from app.search.port import Filters, Passage, SearchQuery
from app.settings import Settings
from app.text.analysis import index_terms, query_terms, storable_text

FIRST_NUMBER: Final = "000001"
LONGEST_KEYWORD: Final = 8_191  # characters; Lucene refuses terms over 32,766 bytes, and UTF-8 uses at most 4 for each
MOST_CANDIDATES: Final = 10_000  # Elasticsearch refuses a larger num_candidates
OVERSAMPLING: Final = 2  # HNSW considers this many times the requested neighbours, for the recall of quantised vectors
# How many neighbours are compared exactly, as a multiple of those wanted. By single bits alone, 91 of the nearest 100 among 100,000 were
# found, with twice as many compared 97, as with whole bytes (docs/decisions/0015-vectors-in-elasticsearch.md).
COMPARED: Final = {"none": 1.0, "int8": 1.0, "int4": 1.0, "bbq": 2.0}
# The stored fields that are read for a hit. The vector and the words are several times larger and are never shown.
SHOWN: Final = ("document_id", "ordinal", "title", "text", "collection", "source", "metadata")


def first_index(alias: str) -> str:
    return f"{alias}-{FIRST_NUMBER}"


def index_template(settings: Settings) -> dict[str, Any]:
    """The template of every index behind the alias. It is independent of the model, which `index_mappings` adds at creation."""
    keyword = {"type": "keyword", "ignore_above": LONGEST_KEYWORD}
    stored = {"type": "text", "index": False}
    return {
        "index_patterns": [f"{settings.index}-0*"],
        "priority": 200,
        "template": {
            "settings": {
                "number_of_shards": settings.elasticsearch_shards,
                "number_of_replicas": settings.elasticsearch_replicas,
                "refresh_interval": settings.elasticsearch_refresh_interval,
            },
            "mappings": {
                "dynamic": "strict",
                "properties": {
                    "document_id": keyword,
                    "ordinal": {"type": "integer"},
                    "title": stored,
                    "text": stored,
                    # Terms of title and text, made by app/text/analysis.py, so that no stemmer of Elasticsearch is needed.
                    "words": {"type": "text", "analyzer": "whitespace"},
                    "collection": keyword,
                    "source": keyword,
                    # Any key is allowed and stored. Filters use `labels`, with one term for each
                    # pair, so that keys never become fields.
                    "metadata": {"type": "object", "enabled": False},
                    "labels": keyword,
                },
            },
        },
    }


def index_mappings(stamp: Stamp, quantization: str) -> dict[str, Any]:
    """The mappings that depend on the model: the stamp, and a vector field with the model's dimensions (none without a model)."""
    mappings: dict[str, Any] = {
        "_meta": {"stamp": {"model": stamp.model, "digest": stamp.digest, "dimensions": stamp.dimensions}}
    }
    if stamp.dimensions:
        kind = "hnsw" if quantization == "none" else f"{quantization}_hnsw"
        mappings["properties"] = {
            "vector": {
                "type": "dense_vector",
                "dims": stamp.dimensions,
                "index": True,
                "similarity": "cosine",
                "index_options": {"type": kind},
            }
        }
    return mappings


def stamp_of(mapping: dict[str, Any], alias: str) -> tuple[str, Stamp]:
    """(index, stamp) from the answer of `GET alias/_mapping`."""
    if len(mapping) != 1:
        raise SearchUnavailable(
            f"The alias {alias} names {len(mapping)} indices ({', '.join(sorted(mapping))}), and it must name one."
        )
    ((index, body),) = mapping.items()
    try:
        found = body["mappings"]["_meta"]["stamp"]
        return index, Stamp(str(found["model"]), str(found["digest"]), int(found["dimensions"]))
    except KeyError as error:
        raise SearchUnavailable(
            f"The index {index} was not made by this service: it has no stamp. Set TEAL_INDEX to another name."
        ) from error


def label(key: str, value: str) -> str:
    return json.dumps([storable_text(key), storable_text(value)], ensure_ascii=False)


def document_body(passage: Passage) -> dict[str, Any]:
    """The body stored for a passage."""
    title, text = storable_text(passage.title), storable_text(passage.text)
    body: dict[str, Any] = {
        "document_id": passage.document_id,
        "ordinal": passage.ordinal,
        "title": title,
        "text": text,
        "words": " ".join((*index_terms(title), *index_terms(text))),
        "collection": passage.collection,
        "metadata": {storable_text(key): storable_text(value) for key, value in passage.metadata.items()},
        "labels": [label(key, value) for key, value in passage.metadata.items()],
    }
    if passage.source is not None:
        body["source"] = storable_text(passage.source)
    if passage.vector is not None:
        body["vector"] = passage.vector.tolist()
    return body


def conditions(filters: Filters) -> list[dict[str, Any]]:
    """The clauses for the filters: all must hold, and for each clause one of its values suffices."""
    sets = (("collection", filters.collections), ("document_id", filters.document_ids), ("source", filters.sources))
    return [
        *({"terms": {field: [storable_text(value) for value in values]}} for field, values in sets if values is not None),
        *({"term": {"labels": label(key, value)}} for key, value in filters.metadata),
    ]


def searches(query: SearchQuery, stamp: Stamp, quantization: str) -> list[tuple[str, dict[str, Any]]]:
    """(name, request body) for each candidate list that can have hits."""
    # Ids are read from doc values: reading `_id` would decompress the stored text of each hit, which took three quarters of
    # the engine's time (docs/performance.md).
    common = {
        "size": query.limit,
        "stored_fields": "_none_",
        "docvalue_fields": ["document_id", "ordinal"],
        "track_total_hits": False,
    }
    within, bodies = conditions(query.filters), list[tuple[str, dict[str, Any]]]()
    terms = query_terms(query.text) if query.text is not None else []
    if terms:
        match = {"match": {"words": {"query": " ".join(terms)}}}
        bodies.append(("lexical", {**common, "query": {"bool": {"must": [match], "filter": within}}}))
    if query.vector is not None and stamp.dimensions:
        neighbours = {
            "field": "vector",
            "query_vector": query.vector.tolist(),
            "k": query.limit,
            "num_candidates": min(MOST_CANDIDATES, OVERSAMPLING * query.limit),
            "rescore_vector": {"oversample": COMPARED[quantization]},  # exact cosines; ignored without quantised vectors
            "filter": within,  # inside the graph search, so that `k` neighbours remain
        }
        bodies.append(("semantic", {**common, "knn": neighbours}))
    return bodies


def scores_of_hits(hits: Sequence[Mapping[str, Any]], *, cosine: bool) -> dict[str, float]:
    """Passage id to score, best first, ties by id. Elasticsearch scores cosine similarity as (1 + cosine) / 2."""
    found = []
    for hit in hits:
        fields, score = hit["fields"], hit["_score"]
        found.append((1 - 2 * score if cosine else -score, f"{fields['document_id'][0]}:{fields['ordinal'][0]}"))
    return {passage_id: -score for score, passage_id in sorted(found)}


def passage(found: Mapping[str, Any]) -> Passage:
    """An Elasticsearch document as a passage of the port."""
    body = found["_source"]
    return Passage(
        id=found["_id"],
        document_id=body["document_id"],
        ordinal=body["ordinal"],
        title=body["title"],
        text=body["text"],
        collection=body["collection"],
        source=body.get("source"),
        metadata=body.get("metadata", {}),
    )
