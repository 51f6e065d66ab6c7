"""The commands of `python -m app.admin` for search indexes: build an index beside the others, compare, exchange or remove it.

Each command imports what it needs when it runs, so that every other command starts fast.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from app.catalog.engine import Catalog
    from app.search.port import SearchWriter
    from app.settings import Settings

JsonLine = dict[str, Any]
PAGE: Final = 500  # documents in one transaction; between transactions other writers can use the catalog
BUILD_SECONDS: Final = 10.0  # the length of one call; the caller renews its lease on the release between calls


def index_build(settings: Settings, options: argparse.Namespace) -> Iterator[JsonLine]:
    """Fill an index from the catalog for some seconds, beside those that serve; call it again until nothing is left. From the
    first call on, documents that are finished get into this index too."""
    from app.catalog import index_outbox
    from app.indexing.outbox_consumer import OutboxConsumer
    from app.indexing.passages import ingest_settings
    from app.models.embed import open_embedder, stamp
    from app.text.apart import READERS

    with open_index(settings, options.name) as (named, catalog, writer):
        writer.ensure(stamp(named))
        seed(catalog, options.name)
        embedder = open_embedder(named)
        done = OutboxConsumer(catalog, writer, options.name, READERS.read, lambda: embedder, ingest_settings(named)).drain(
            options.seconds
        )
        with catalog.read() as session:
            left, failed = (
                index_outbox.entries_left(session, options.name),
                index_outbox.failed_entries(session, options.name, named.ingest_attempts),
            )
        yield {"index": options.name, "done": done.done, "left": left - len(failed), "failed": len(failed),
               "detail": f"{left - len(failed)} documents left" + _said(failed)}  # fmt: skip


def index_verify(settings: Settings, options: argparse.Namespace) -> Iterator[JsonLine]:
    """Compare an index with the catalog, and search for some documents by a sentence of their
    own. Exit 1 when it is not whole."""
    from app.catalog import index_outbox
    from app.errors import IndexIncomplete
    from app.indexing import spot_check
    from app.indexing.reconcile import reconcile

    with open_index(settings, options.name) as (named, catalog, writer):
        writer.refresh()
        found = reconcile(catalog, writer, options.name)
        with catalog.read() as session:
            failed = index_outbox.failed_entries(session, options.name, named.ingest_attempts)
        if found.missing or found.extra or failed:
            raise IndexIncomplete(
                f"The index {options.name} differs from the catalog: of {found.documents} documents {found.missing} are missing, "
                f"{found.extra} are too many{_said(failed)}. Next: `python -m app.admin index build --name {options.name}`."
            )
        questions = list(spot_check.questions(catalog))
        with catalog.read() as session:  # documents that were finished since the index was filled are in its outbox and not lost
            owed = index_outbox.entries_among(session, options.name, [document_id for document_id, _ in questions])
        questions = [one for one in questions if one[0] not in owed]
        seen = spot_check.count_found(named, questions, with_meaning=True)
        wanted = len(questions)
        if options.against is not None:
            wanted = spot_check.count_found(with_index(settings, options.against), questions, with_meaning=False)
    if seen < spot_check.FOUND_SHARE * wanted:
        raise IndexIncomplete(
            f"Of {len(questions)} documents the index {options.name} found {seen} by words of their own, not {wanted}."
        )
    yield {"index": options.name, "documents": found.documents, "sampled": len(questions), "found": seen,
           "detail": f"{found.documents} documents as in the catalog; {seen} of {len(questions)} samples found"}  # fmt: skip


def index_drop(settings: Settings, options: argparse.Namespace) -> Iterator[JsonLine]:
    """Remove an index and stop keeping it up to date. Refused for the index that these settings name, which serves."""
    from app.catalog import index_outbox
    from app.errors import InvalidRequest

    if options.name == settings.index:
        raise InvalidRequest(f"The index {options.name} is the one that this release reads.")
    with open_index(settings, options.name) as (_, catalog, writer):
        with catalog.write() as session:
            index_outbox.unregister_index(session, options.name)
        yield {"index": options.name, "dropped": writer.drop()}


def index_swap(settings: Settings, options: argparse.Namespace) -> Iterator[JsonLine]:
    """Put an index, with its outbox, in the place of the one that these settings name, which is kept until the next swap."""
    from app.catalog import index_outbox
    from app.search.engines import search_engine
    from app.search.port import kept_name

    with open_index(settings, options.name) as (named, catalog, writer):
        writer.refresh()
        writer.close()
        kept = search_engine(settings).swap(settings, named)
        with catalog.write() as session:
            index_outbox.hand_over(session, options.name, settings.index)
    yield {
        "index": settings.index,
        "kept": kept_name(settings) if kept else None,
        "detail": f"{options.name} is {settings.index} now",
    }


def index_reconcile(settings: Settings, options: argparse.Namespace) -> Iterator[JsonLine]:
    """Compare an index with the catalog and add the documents that differ to its outbox; its worker then indexes them."""
    from dataclasses import asdict

    from app.catalog import index_outbox
    from app.indexing.reconcile import reconcile

    name = options.name or settings.index
    with open_index(settings, name) as (_, catalog, writer):
        writer.refresh()
        found = reconcile(catalog, writer, name)
        with catalog.read() as session:
            left = index_outbox.entries_left(session, name)
    yield {
        "index": name,
        **asdict(found),
        "left": left,
        "detail": f"{found.missing} missing, {found.extra} too many, {left} left to take over",
    }


def index_list(settings: Settings, _: argparse.Namespace) -> Iterator[JsonLine]:
    """The registered indexes, each with the number of documents in its outbox."""
    from dataclasses import asdict

    from app.catalog import index_outbox
    from app.catalog.engine import Catalog

    with Catalog(settings.sqlalchemy_url()).read() as session:
        lines = [
            {**asdict(one), "left": index_outbox.entries_left(session, one.name)}
            for one in index_outbox.registered_indexes(session)
        ]
    yield from lines


def rebuild(settings: Settings, _: argparse.Namespace) -> Iterator[JsonLine]:
    """Ingest every document again from the catalog alone; indexed documents can still be found meanwhile."""
    from app.catalog import ingestion_queries
    from app.catalog.engine import Catalog
    from app.ingestion.job_queue import Jobs

    catalog, jobs = Catalog(settings.sqlalchemy_url()), Jobs(settings)
    queued, last = 0, None
    while True:
        with catalog.write() as session:
            page = ingestion_queries.requeue_all(session, after=last, limit=PAGE)
        if not page:
            break
        for job in page:
            jobs.ingest(job.document_id, job.revision)
        queued, last = queued + len(page), page[-1].document_id
        yield {"queued": queued}
    jobs.close()
    yield {"queued": queued, "done": True}


def with_index(settings: Settings, name: str) -> Settings:
    """The settings with another index. Raises pydantic's ValidationError for an invalid name."""
    return type(settings).model_validate({**settings.model_dump(), "index": name})


@contextmanager
def open_index(settings: Settings, name: str) -> Iterator[tuple[Settings, Catalog, SearchWriter]]:
    """A context with the settings for this index, the catalog, and the index's writer."""
    from app.catalog.engine import Catalog
    from app.search.engines import open_writer

    named = with_index(settings, name)
    catalog, writer = Catalog(settings.sqlalchemy_url()), open_writer(named)
    try:
        yield named, catalog, writer
    finally:
        writer.close()
        catalog.close()


def seed(catalog: Catalog, name: str) -> None:
    """Register the index and add every indexed document to its outbox, once. After an
    interruption it starts again, which does no harm."""
    from app.catalog import index_outbox

    with catalog.write() as session:
        seeded = index_outbox.register_index(session, name, serving=False).seeded
    after: str | None = None
    while not seeded:
        with catalog.write() as session:
            ids = index_outbox.add_all_indexed(session, name, after=after, limit=PAGE)
        seeded, after = len(ids) < PAGE, ids[-1] if ids else None


def _said(failed: list[tuple[str, str]]) -> str:
    return f"; {len(failed)} can not be indexed here, the first {failed[0][0]}: {failed[0][1]}" if failed else ""


def add_commands(commands: Any) -> None:
    """Add the commands index build, verify, swap, reconcile, drop and list, and rebuild."""
    group = commands.add_parser("index", help="Search indexes.").add_subparsers(required=True, metavar="build|verify|swap|...")
    named = (index_build, index_verify, index_swap, index_reconcile, index_drop)
    for command in named:
        made = group.add_parser(command.__name__.removeprefix("index_"), help=command.__doc__)
        made.add_argument("--name", required=command is not index_reconcile)
        made.set_defaults(command=command)
        if command is index_build:
            made.add_argument("--seconds", type=float, default=BUILD_SECONDS, help="how long to work at most")
        if command is index_verify:
            made.add_argument(
                "--against", default=None, help="an index in service that must not find more of the samples by words alone"
            )
    commands.add_parser("rebuild", help=rebuild.__doc__).set_defaults(command=rebuild)
    group.add_parser("list", help=index_list.__doc__).set_defaults(command=index_list, changes=False)
