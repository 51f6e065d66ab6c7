"""Puts one index in the place of another under everybody's hands: readers see the one or the other, and the old one is kept."""

from __future__ import annotations

from typing import Any

from elasticsearch import Elasticsearch

from app.backup import sqlite_copy
from app.errors import InvalidRequest
from app.search import embedded_path
from app.search.elasticsearch_connection import client_options, mapped
from app.search.elasticsearch_writer import WRITE_CALL_SECONDS
from app.search.embedded_schema import files
from app.settings import Settings


def kept_name(settings: Settings) -> str:
    """Where the index that was replaced last is kept, until the next one is."""
    return f"{settings.index}-kept"


def swap(settings: Settings, other: Settings) -> bool:
    """`settings.index` becomes what `other.index` is, whose name is gone. Whether there was one to keep. Done again after it was cut off, it
    ends what was begun."""
    return _embedded(settings, other) if settings.search == "embedded" else _elasticsearch(settings, other)


def _embedded(settings: Settings, other: Settings) -> bool:
    place, wanted = embedded_path(settings), embedded_path(other)
    if not wanted.is_file():
        raise InvalidRequest(f"There is no index {other.index} ({wanted}).")
    if there := place.is_file():
        kept = place.with_name(f"search-{kept_name(settings)}.db")
        part = kept.with_suffix(".part")
        sqlite_copy.copy(place, part, "apsw")
        part.replace(kept)
    sqlite_copy.put_in_place(wanted, place, "apsw")
    for path in files(wanted):
        path.unlink(missing_ok=True)
    return there


def _elasticsearch(settings: Settings, other: Settings) -> bool:
    kept = kept_name(settings)
    with (
        mapped(settings.elasticsearch_url, other.index),
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
        client.indices.update_aliases(actions=actions)  # all of them at once
        gone = client.options(ignore_status=404)
        gone.indices.delete_index_template(name=f"{other.index}-passages")
        if before:
            gone.indices.delete(index=before)
    return bool(old)


def _behind(client: Elasticsearch, alias: str) -> list[str]:
    found = client.options(ignore_status=404).indices.get_alias(name=alias)
    return list(found) if found.meta.status == 200 else []
