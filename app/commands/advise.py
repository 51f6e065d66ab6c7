"""`python -m app.admin advise`: tuning advice from live statistics."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from app.settings import Settings

JsonLine = dict[str, Any]


def advise(settings: Settings, _: argparse.Namespace) -> Iterator[JsonLine]:
    """Advice for Elasticsearch and PostgreSQL, each with its reason and source; then for each
    part what was examined. Changes nothing."""
    if settings.search == "elasticsearch":
        yield from _search(settings)
    else:
        yield {"part": "search", "skipped": "the embedded index has nothing to tune"}
    if settings.database_url is not None:
        yield from _database(settings)
    else:
        yield {"part": "catalog", "skipped": "SQLite has nothing to tune"}


def _search(settings: Settings) -> Iterator[JsonLine]:
    from app.statistics import advice, elasticsearch

    engine = elasticsearch.collect_elasticsearch(settings)
    found = [asdict(one) for one in advice.elasticsearch_advice(engine)]
    yield from found
    index = f"index {engine.index.name}" if engine.index else "no index"
    yield {"part": "elasticsearch", "looked_at": f"{engine.status}, {len(engine.nodes)} nodes, {index}", "advice": len(found)}


def _database(settings: Settings) -> Iterator[JsonLine]:
    from app.catalog.engine import Catalog
    from app.statistics import advice, postgres

    catalog = Catalog(settings.sqlalchemy_url())
    with catalog.read() as session:
        database = postgres.collect_postgres(session.connection())
    catalog.close()
    found = [asdict(one) for one in advice.postgres_advice(database)]
    yield from found
    looked = f"{len(database.tables)} tables, {len(database.indexes)} indexes, scans counted for {database.counted_days:.1f} days"
    yield {"part": "postgres", "looked_at": looked, "advice": len(found)}


def add_commands(commands: Any) -> None:
    commands.add_parser("advise", help=advise.__doc__).set_defaults(command=advise, changes=False)
