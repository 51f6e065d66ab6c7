"""The API key that a releaser's probes use: made when the first probe needs it, with an expiry time."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from teal.errors import NeedsHuman
from teal.record.model import Color, ColorState, Record

_HOURS: Final = 6  # longer than a release with its analyses, a pause and the rollback window
Admin = Callable[..., list[dict[str, Any]]]  # Runtime.admin


class ProbeHeaders(Mapping[str, str]):
    """The `Authorization` header, with the key `given`, else with a new writer's key, which costs one Job for each process."""

    def __init__(self, record: Callable[[], Record], admin: Admin, given: str | None) -> None:
        self._record, self._admin, self._key = record, admin, given

    def __getitem__(self, name: str) -> str:
        if name != "Authorization":
            raise KeyError(name)
        if self._key is None:
            self._key = self._make()
        return f"Bearer {self._key}"

    def __iter__(self) -> Iterator[str]:
        return iter(("Authorization",))

    def __len__(self) -> int:
        return 1

    def _make(self) -> str:
        color, state = _running(self._record())
        until = datetime.now(UTC) + timedelta(hours=_HOURS)
        rows = self._admin(state, color, "keys", "create", "--role", "writer", "--name", f"release {state.release_id}",
                           "--expires-at", until.isoformat())  # fmt: skip
        return str(rows[-1]["key"])


def _running(record: Record) -> tuple[Color, ColorState]:
    """The color that makes the key: the one being released if its schema is in place, else the active one."""
    for color in (record.release.target if record.release else None, record.active):
        state = record.color(color) if color else None
        if color and state:
            return color, state
    raise NeedsHuman("Nothing is released, so nobody can make a key for probes", where="the release record", next="teal release")
