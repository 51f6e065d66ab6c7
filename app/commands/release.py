"""The commands of `python -m app.admin` that `teal` runs during a release, for the schema and the jobs.

Each command imports what it needs when it runs, so that every other command starts fast.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from app.settings import Settings

JsonLine = dict[str, Any]


def migrate(settings: Settings, options: argparse.Namespace) -> Iterator[JsonLine]:
    """Bring the jobs tables and the catalog to the newest schema; the catalog last, because the worker waits for it. --expand:
    only changes with which the running release still works; --contract: also changes that remove what old releases needed."""
    from app.catalog import phases
    from app.catalog.engine import migrate as migrate_catalog
    from app.ingestion.job_queue import migrate_jobs

    url = settings.sqlalchemy_url()
    if settings.database_url is None:
        settings.state_dir.mkdir(parents=True, exist_ok=True)
    if options.contract:
        yield {"revision": phases.contract(url)}
        return
    if options.back:
        yield {"revision": phases.take_back(url, _revision(settings), options.back)}
        return
    at = _revision(settings) if options.expand else None
    if options.expand:
        phases.require_expanding()
        phases.expandable(phases.revisions(), at)  # refuses before anything is touched
    migrate_jobs(settings)
    yield {"revision": phases.expand(url, at) if options.expand else migrate_catalog(url)}


def schema(settings: Settings, _: argparse.Namespace) -> Iterator[JsonLine]:
    """The catalog's current revision, and the revisions that this code knows and can serve."""
    from app.catalog import phases

    known = phases.revisions()
    phases.require_expanding()  # called when a version is built, so that a version with wrongly marked revisions cannot be built
    at = _revision(settings)
    waiting = phases.pending_revisions(known, at)
    yield {
        "revision": at,
        "min": phases.OLDEST_REVISION,
        "max": known[-1].id,
        "head": known[-1].id,
        "expand": [revision.id for revision in waiting if revision.phase == "expand"],
        "contract": [revision.id for revision in waiting if revision.phase == "contract"],
    }


def _revision(settings: Settings) -> str | None:
    """The catalog's revision; None when there is no catalog. The check creates no file."""
    from app.catalog.engine import schema_revision

    if settings.database_url is None and not (settings.state_dir / "catalog.db").is_file():
        return None
    return schema_revision(settings.sqlalchemy_url())


def jobs_left(settings: Settings, options: argparse.Namespace) -> Iterator[JsonLine]:
    """The number of unfinished jobs of a release."""
    from app.ingestion.job_transfer import unfinished_jobs

    yield {"left": unfinished_jobs(settings, options.release)}


def jobs_transfer(settings: Settings, options: argparse.Namespace) -> Iterator[JsonLine]:
    """Move the unfinished jobs of a release that ends to another release. Stop its workers first."""
    from app.ingestion.job_transfer import transfer_jobs

    moved = transfer_jobs(settings, options.source, options.target)
    yield {"moved": moved}


def add_commands(commands: Any) -> None:
    """Add the commands migrate, schema, jobs left and jobs transfer."""
    made = commands.add_parser("migrate", help=migrate.__doc__)
    made.set_defaults(command=migrate)
    phase = made.add_mutually_exclusive_group()
    phase.add_argument("--expand", action="store_true", help="only revisions that leave the running release working")
    phase.add_argument("--contract", action="store_true", help="also those that end older releases; not the jobs tables")
    phase.add_argument(
        "--back", metavar="REVISION", help="undo expanding revisions down to this one: the running release suffered"
    )
    commands.add_parser("schema", help=schema.__doc__).set_defaults(command=schema, changes=False)
    jobs = commands.add_parser("jobs", help="Jobs of a release.").add_subparsers(required=True, metavar="left|transfer")
    count = jobs.add_parser("left", help=jobs_left.__doc__)
    count.add_argument("--release", required=True)
    count.set_defaults(command=jobs_left, changes=False)
    move = jobs.add_parser("transfer", help=jobs_transfer.__doc__)
    move.add_argument("--from", dest="source", required=True, help="release that leaves")
    move.add_argument("--to", dest="target", required=True, help="release that stays")
    move.set_defaults(command=jobs_transfer)
