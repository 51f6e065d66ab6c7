"""Every operation on the data: `python -m app.admin COMMAND`. One JSON object per line; errors as {"error": {...}} and exit 1, bad input 2.

Imports are inside the commands: each starts in a fraction of a second and loads only what it needs.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final, NoReturn

from app.admin_advise import advise
from app.admin_backup import add_backup_commands
from app.admin_index import add_index_commands
from app.admin_keys import add_key_commands
from app.admin_release import add_release_commands
from app.errors import PROBLEMS, InvalidRequest, NotFound, TealError

if TYPE_CHECKING:
    from app.settings import Settings

_LOOKS: Final = frozenset(
    {"status", "doctor", "advise", "schema", "snapshots", "keys list", "index list", "jobs left"}
)  # commands that change nothing
_REBUILD_PAGE: Final = 500  # documents per transaction: the catalog stays open to writers between pages
Line = dict[str, Any]
Command = Callable[["Settings", argparse.Namespace], Iterator[Line]]


def status(settings: Settings, _: argparse.Namespace) -> Iterator[Line]:
    """Documents by status, generation of the index, and what the search engine says of itself."""
    from app.catalog import documents, index_state
    from app.catalog.engine import Catalog

    with Catalog(settings.sqlalchemy_url()).read() as session:
        line: Line = {"documents": documents.counts(session), "generation": index_state.generation(session)}
    try:
        line["search"] = _search_status(settings)
    except TealError as error:
        line["search"] = {"error": _described(error)}
    yield line | {"release": settings.release_id, "color": settings.color}


def rebuild(settings: Settings, _: argparse.Namespace) -> Iterator[Line]:
    """Ingest every document again from the catalog alone; what is indexed stays findable meanwhile."""
    from app.catalog import work
    from app.catalog.engine import Catalog
    from app.ingest import Jobs

    catalog, jobs = Catalog(settings.sqlalchemy_url()), Jobs(settings)
    queued, last = 0, None
    while True:
        with catalog.write() as session:
            page = work.requeue_all(session, after=last, limit=_REBUILD_PAGE)
        if not page:
            break
        for job in page:
            jobs.ingest(job.document_id, job.revision)
        queued, last = queued + len(page), page[-1].document_id
        yield {"queued": queued}
    jobs.close()
    yield {"queued": queued, "done": True}


def doctor(settings: Settings, _: argparse.Namespace) -> Iterator[Line]:
    """One line per part: whether it is well, and if not, why and what to do."""
    for part, check in (("catalog", _check_catalog), ("jobs", _check_jobs), ("model", _check_model), ("search", _check_search)):
        try:
            yield {"part": part, "ok": True, **check(settings)}
        except TealError as error:
            yield {"part": part, "ok": False, **_described(error)}


def _check_catalog(settings: Settings) -> Line:
    from app.catalog.engine import head_revision, schema_revision
    from app.errors import CatalogUnavailable

    present, head = schema_revision(settings.sqlalchemy_url()), head_revision()
    if present is None or present < head:
        raise CatalogUnavailable(
            f"The catalog's schema is at {present or 'nothing'}, not {head}. Next: `python -m app.admin migrate`."
        )
    return {"revision": present}


def _check_jobs(settings: Settings) -> Line:
    from app.ingest import Jobs

    jobs = Jobs(settings)
    try:
        jobs.held([])
        jobs.forget_finished("1970-01-01T00:00:00+00:00", 1)  # finds nothing, but reads the table
    finally:
        jobs.close()
    return {}


def _check_model(settings: Settings) -> Line:
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


def _check_search(settings: Settings) -> Line:
    return _search_status(settings)


def _search_status(settings: Settings) -> Line:
    from app.search import open_reader

    async def ask() -> Line:
        reader = open_reader(settings)
        try:
            return asdict(await reader.status())
        finally:
            await reader.close()

    return {"adapter": settings.search, **asyncio.run(ask())}


def _described(error: TealError) -> Line:
    return {"code": error.code, "detail": error.detail, "action": error.action}


def _audited(settings: Settings, options: argparse.Namespace) -> Iterator[Line]:
    """The command's lines; one that may change something is in the audit log when it has ended, well or not."""
    name = options.command.__name__.replace("_", " ")
    if name in _LOOKS:
        yield from options.command(settings, options)
        return
    from app import audit

    audit.configure(settings, "admin", stream=sys.stderr)  # standard output is the command's answer
    ids: list[str] = []
    error: str | None = "interrupted"
    try:
        for line in options.command(settings, options):
            ids += [str(line["id"])] if "id" in line else []
            yield line
        error = None
    except Exception as failure:
        error = failure.code if isinstance(failure, TealError) else type(failure).__name__
        raise
    finally:
        given = {key: value for key, value in vars(options).items() if key != "command" and value not in (None, False, [])}
        audit.record_command(name, given, ids=ids, error=error)


class _Parser(argparse.ArgumentParser):
    """Reports bad input as the other errors are reported."""

    def error(self, message: str) -> NoReturn:
        _fail("invalid-request", message, f"See `{self.prog} --help`.", exit_code=2)


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(prog="python -m app.admin", description=__doc__)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    add_release_commands(commands)
    add_index_commands(commands)
    add_backup_commands(commands)
    add_key_commands(commands)
    simple: tuple[Command, ...] = (status, rebuild, doctor, advise)
    for command in simple:
        commands.add_parser(command.__name__, help=command.__doc__).set_defaults(command=command)
    return parser


def _fail(code: str, detail: str, action: str, *, exit_code: int) -> NoReturn:
    print(json.dumps({"error": {"code": code, "detail": detail, "action": action}}), flush=True)
    sys.exit(exit_code)


def main(arguments: Sequence[str] | None = None) -> None:
    """Entry of `python -m app.admin`."""
    options = _parser().parse_args(arguments)
    from pydantic import ValidationError

    try:
        from app.settings import settings

        for line in _audited(settings(), options):
            print(
                json.dumps(line, default=lambda value: value.isoformat() if isinstance(value, datetime) else str(value)),
                flush=True,
            )
    except ValidationError as error:
        wrong = "; ".join(f"{'.'.join(map(str, item['loc']))}: {item['msg']}" for item in error.errors())
        _fail(
            "invalid-request",
            f"The configuration is wrong: {wrong}",
            "Correct the environment; docs/configuration.md lists it.",
            exit_code=2,
        )
    except (InvalidRequest, NotFound) as error:
        _fail(error.code, error.detail, error.action, exit_code=2)
    except TealError as error:
        _fail(error.code, error.detail, error.action, exit_code=1)
    except KeyboardInterrupt:
        _fail("internal", "Interrupted.", "Run it again: every command may be repeated.", exit_code=1)
    except Exception as error:  # noqa: BLE001 - a command never shows a stack trace
        _fail("internal", f"{type(error).__name__}: {error}", PROBLEMS["internal"].action, exit_code=1)


if __name__ == "__main__":
    main()
