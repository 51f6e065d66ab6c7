"""The Elasticsearch adapter that `app/providers.py` registers."""

from __future__ import annotations

from typing import Any, Final

from elasticsearch import Elasticsearch

from app.search.elasticsearch.connection import client_options, map_client_errors
from app.search.elasticsearch.reader import ElasticsearchReader
from app.search.elasticsearch.writer import WRITE_CALL_SECONDS, ElasticsearchWriter
from app.search.port import SearchEngine, kept_name
from app.settings import Settings


def swap(settings: Settings, other: Settings) -> bool:
    """Exchange the indexes behind the aliases in one call of the engine, as `SearchEngine` specifies."""
    kept = kept_name(settings)
    with (
        map_client_errors(settings.elasticsearch_url, other.index),
        Elasticsearch(**client_options(settings, timeout_seconds=WRITE_CALL_SECONDS)) as client,
    ):
        (wanted,) = client.indices.get_alias(name=other.index)
        old = _behind(client, settings.index)
        before = _behind(client, kept)
        actions: list[dict[str, Any]] = [
            {"remove": {"index": wanted, "alias": other.index}},
            {"add": {"index": wanted, "alias": settings.index, "is_write_index": True}},
            *({"remove": {"index": name, "alias": settings.index}} for name in old),
            *({"remove": {"index": name, "alias": kept}} for name in before),
            *({"add": {"index": name, "alias": kept}} for name in old),
        ]
        client.indices.update_aliases(actions=actions)  # atomic
        gone = client.options(ignore_status=404)
        gone.indices.delete_index_template(name=f"{other.index}-passages")
        if before:
            gone.indices.delete(index=before)
    return bool(old)


def _behind(client: Elasticsearch, alias: str) -> list[str]:
    """The indexes behind the alias; empty when there is no such alias."""
    found = client.options(ignore_status=404).indices.get_alias(name=alias)
    return list(found) if found.meta.status == 200 else []


ENGINE: Final = SearchEngine(ElasticsearchReader, ElasticsearchWriter, swap)
