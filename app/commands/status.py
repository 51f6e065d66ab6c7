"""The commands `status` and `doctor` of `python -m app.admin`: the state of each part.

Each command imports what it needs when it runs, so that it starts in a fraction of a second.
"""

from __future__ import annotations

import argparse
import asyncio
from collections.abc import Callable, Iterator
from dataclasses import asdict
from typing import TYPE_CHECKING, Any, Final

from app.errors import TealError

if TYPE_CHECKING:
    from app.settings import Settings

JsonLine = dict[str, Any]


def status(settings: Settings, _: argparse.Namespace) -> Iterator[JsonLine]:
    """Documents by status, the index generation, and the status of the search engine."""
    from app.catalog import documents, index_state
    from app.catalog.engine import Catalog

    with Catalog(settings.sqlalchemy_url()).read() as session:
        line: JsonLine = {"documents": documents.count_by_status(session), "generation": index_state.index_generation(session)}
    try:
        line["search"] = _check_search(settings)
    except TealError as error:
        line["search"] = {"error": error.described()}
    yield line | {"release": settings.release_id, "color": settings.color}


def doctor(settings: Settings, _: argparse.Namespace) -> Iterator[JsonLine]:
    """One line per part: whether it is well, and if not, why and what to do."""
    for part, check in CHECKS.items():
        try:
            yield {"part": part, "ok": True, **check(settings)}
        except TealError as error:
            yield {"part": part, "ok": False, **error.described()}


def _check_catalog(settings: Settings) -> JsonLine:
    from app.catalog.engine import head_revision, schema_revision
    from app.errors import CatalogUnavailable

    present, head = schema_revision(settings.sqlalchemy_url()), head_revision()
    if present is None or present < head:
        raise CatalogUnavailable(
            f"The catalog's schema is at {present or 'nothing'}, not {head}. Next: `python -m app.admin migrate`."
        )
    return {"revision": present}


def _check_jobs(settings: Settings) -> JsonLine:
    from app.ingestion.job_queue import Jobs

    jobs = Jobs(settings)
    try:
        jobs.held([])
        jobs.forget_finished("1970-01-01T00:00:00+00:00", 1)  # deletes nothing, but shows that the table can be read
    finally:
        jobs.close()
    return {}


def _check_model(settings: Settings) -> JsonLine:
    from app.errors import ModelUnavailable
    from app.models.embed import open_embedder

    if settings.embedding == "none":
        return {"detail": "Configured off (TEAL_EMBEDDING=none): documents are found by words alone."}
    embedder = open_embedder(settings)
    if embedder is None:
        raise ModelUnavailable(
            f"The embedding model {settings.embedding_model} is not in {settings.model_dir}: documents are found by words alone, "
            "and get their vectors when it is there. Next: `teal up` fetches it."
        )
    return {"model": embedder.stamp.model, "dimensions": embedder.stamp.dimensions}


def _check_search(settings: Settings) -> JsonLine:
    from app.search.engines import open_reader

    async def ask() -> JsonLine:
        reader = open_reader(settings)
        try:
            return asdict(await reader.status())
        finally:
            await reader.close()

    return {"adapter": settings.search, **asyncio.run(ask())}


CHECKS: Final[dict[str, Callable[[Settings], JsonLine]]] = {
    "catalog": _check_catalog,
    "jobs": _check_jobs,
    "model": _check_model,
    "search": _check_search,
}


def add_commands(commands: Any) -> None:
    for command in (status, doctor):
        commands.add_parser(command.__name__, help=command.__doc__).set_defaults(command=command, changes=False)
