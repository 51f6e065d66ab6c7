"""The registry of the command groups of `python -m app.admin`, and the audit logging of commands that change something."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, Final

from app.commands import activity, advise, backup, index, keys, queries, release, status
from app.errors import TealError

if TYPE_CHECKING:
    from app.settings import Settings

JsonLine = dict[str, Any]

GROUPS: Final[tuple[Callable[[Any], None], ...]] = (  # each adds its commands to the parser; the order is that of `--help`
    release.add_commands,
    index.add_commands,
    backup.add_commands,
    keys.add_commands,
    status.add_commands,
    activity.add_commands,
    advise.add_commands,
    queries.add_commands,
)


def run(settings: Settings, options: argparse.Namespace) -> Iterator[JsonLine]:
    """Run the chosen command; yields its lines. A command that may change something (`changes` is not set to False) is written to
    the audit log when it ends, whether it succeeds or fails."""
    if not getattr(options, "changes", True):
        yield from options.command(settings, options)
        return
    from app.access import audit

    audit.configure_audit(settings, "admin", stream=sys.stderr)  # standard output carries the command's result
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
        given = {
            key: value
            for key, value in vars(options).items()
            if key not in ("command", "changes") and value not in (None, False, [])
        }
        audit.record_command(options.command.__name__.replace("_", " "), given, ids=ids, error=error)
