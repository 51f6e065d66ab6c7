"""The moments that snapshots bear, when the clock that stamped one may have been wrong.

A snapshot from the future would stay the newest for as long as the clock was wrong: none would be due, an older state would be restored
by default, and its negative age would keep the alert quiet. So it is kept, named, and counts for nothing until its moment has come.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Final

from app.backup.manifest import Manifest

TOLERATED: Final = timedelta(minutes=5)  # between two machines' clocks; one that is kept by NTP is wrong by milliseconds


def is_ahead(found: Manifest, now: datetime | None = None) -> bool:
    """Whether the snapshot says that it was finished in the future."""
    return found.finished_at > (now or datetime.now(UTC)) + TOLERATED


def credible(known: Iterable[Manifest], now: datetime | None = None) -> list[Manifest]:
    """Those whose moment has come, in the order given."""
    return [one for one in known if not is_ahead(one, now)]
