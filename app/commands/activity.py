"""`python -m app.admin activity`: when the parts behind the service last did something, for `teal status`. A
process may run and still do nothing."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from app.settings import Settings

JsonLine = dict[str, Any]


def activity(settings: Settings, _: argparse.Namespace) -> Iterator[JsonLine]:
    """Workers' last heartbeats, the documents that have waited and been in work for longest, the outbox of each index, and
    whether the catalog can be written. Ages are in seconds. Changes nothing."""
    from app.catalog import activity as read
    from app.catalog.engine import Catalog
    from app.errors import TealError

    catalog = Catalog(settings.sqlalchemy_url())
    try:
        with catalog.read() as session:
            yield {"kind": "catalog", **read.work_seen(session)}
        try:
            yield {"kind": "write", "ok": True, "seconds": read.try_write(catalog)}
        except TealError as error:
            yield {"kind": "write", "ok": False, "detail": error.detail}
    finally:
        catalog.close()


def add_commands(commands: Any) -> None:
    commands.add_parser("activity", help=activity.__doc__).set_defaults(command=activity, changes=False)
