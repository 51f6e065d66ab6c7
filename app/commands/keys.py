"""The commands of `python -m app.admin` for API keys.

Each command imports what it needs when it runs, so that every other command starts fast.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from app.catalog.keys import KeyInfo
    from app.settings import Settings

JsonLine = dict[str, Any]
_MOST_DAYS: Final = 36_500  # a century; a key without an end has no expiry at all
_MOST_A_DAY: Final = 1_000_000_000_000  # far more than can be sent in a day, and far less than the catalog can count


def keys_create(settings: Settings, options: argparse.Namespace) -> Iterator[JsonLine]:
    """Make a key; its text is printed once and kept nowhere."""
    from app.catalog import keys
    from app.catalog.engine import Catalog

    with Catalog(settings.sqlalchemy_url()).write() as session:
        info, text = keys.create_key(
            session,
            name=options.name or options.role,
            role=options.role,
            collections=tuple(options.collection) or None,
            expires_at=_end(options),
            quota=keys.Quota(options.requests_per_day, options.questions_per_day),
        )
    yield {"key": text, **_line(info)}


def keys_rotate(settings: Settings, options: argparse.Namespace) -> Iterator[JsonLine]:
    """Make a key with the same rights; the old one stays valid for the grace period and then expires."""
    from app.catalog import keys
    from app.catalog.engine import Catalog

    with Catalog(settings.sqlalchemy_url()).write() as session:
        info, text = keys.rotate(session, options.id, grace=timedelta(hours=options.grace_hours), expires_at=_end(options))
        old = next(each for each in keys.list_keys(session) if each.id == options.id)
    yield {"key": text, **_line(info), "replaces": old.id, "old_ends_at": old.expires_at}


def keys_list(settings: Settings, _: argparse.Namespace) -> Iterator[JsonLine]:
    """All keys without their secrets, oldest first, with what those with a quota have used today (UTC)."""
    from app.catalog import keys, usage
    from app.catalog.engine import Catalog

    moment = datetime.now(UTC)
    with Catalog(settings.sqlalchemy_url()).read() as session:
        used = usage.used_on_day(session, moment.date())
        lines = [
            _line(info) | {"used_today": used.get(info.id, {}), "ends_soon": info.ends_soon(moment)}
            for info in keys.list_keys(session)
        ]
    yield from lines


def keys_quota(settings: Settings, options: argparse.Namespace) -> Iterator[JsonLine]:
    """Replace a key's quota; a limit that is not given is removed."""
    from app.catalog import keys
    from app.catalog.engine import Catalog

    with Catalog(settings.sqlalchemy_url()).write() as session:
        info = keys.set_quota(session, options.id, keys.Quota(options.requests_per_day, options.questions_per_day))
    yield _line(info)


def keys_revoke(settings: Settings, options: argparse.Namespace) -> Iterator[JsonLine]:
    """Revoke a key at once."""
    from app.catalog import keys
    from app.catalog.engine import Catalog

    with Catalog(settings.sqlalchemy_url()).write() as session:
        info = keys.revoke(session, options.id)
    yield _line(info)


def _line(info: KeyInfo) -> JsonLine:
    return asdict(info)


def _end(options: argparse.Namespace) -> datetime | None:
    if options.expires_in_days is not None:
        return datetime.now(UTC) + timedelta(days=options.expires_in_days)
    end: datetime | None = options.expires_at
    return end


def add_commands(commands: Any) -> None:
    """Add the commands keys create, rotate, list, quota and revoke."""
    group = commands.add_parser("keys", help="API keys.")
    keys = group.add_subparsers(required=True, metavar="create|rotate|list|quota|revoke")
    create = keys.add_parser("create", help=keys_create.__doc__)
    create.add_argument("--role", required=True, choices=("reader", "writer", "admin"))
    create.add_argument("--name", default=None, help="who the key is for; the role when not given")
    create.add_argument("--collection", action="append", default=[], help="limit the key to this collection; may be repeated")
    rotate = keys.add_parser("rotate", help=keys_rotate.__doc__)
    rotate.add_argument("id")
    rotate.add_argument(
        "--grace-hours", type=_up_to(24 * _MOST_DAYS), default=24, help="how long the old key goes on; default 24"
    )
    keys.add_parser("list", help=keys_list.__doc__).set_defaults(command=keys_list, changes=False)
    quota = keys.add_parser("quota", help=keys_quota.__doc__)
    quota.add_argument("id")
    revoke = keys.add_parser("revoke", help=keys_revoke.__doc__)
    revoke.add_argument("id")
    for made in (create, rotate):
        end = made.add_mutually_exclusive_group()
        end.add_argument("--expires-in-days", type=_up_to(_MOST_DAYS), default=None)
        end.add_argument("--expires-at", type=datetime.fromisoformat, default=None, help="ISO moment with time zone")
    for limited in (create, quota):
        limited.add_argument("--requests-per-day", type=_up_to(_MOST_A_DAY), default=None, help="of a UTC day; default: no limit")
        limited.add_argument(
            "--questions-per-day", type=_up_to(_MOST_A_DAY), default=None, help="of a UTC day; default: no limit"
        )
    for parser, command in ((create, keys_create), (rotate, keys_rotate), (quota, keys_quota), (revoke, keys_revoke)):
        parser.set_defaults(command=command)


def _up_to(most: int) -> Callable[[str], int]:
    """An argument type: whole numbers from 1 to `most`."""

    def number(text: str) -> int:
        found = int(text)
        if not 1 <= found <= most:
            raise argparse.ArgumentTypeError(f"{text} is not between 1 and {most}")
        return found

    return number
