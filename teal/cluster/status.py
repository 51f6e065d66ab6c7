"""`teal cluster status`: whether the cluster of this machine works, asked of its API server and its names."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Final

from teal.cluster import place as places
from teal.cluster.checkout import ask, require_checkout
from teal.cluster.place import READY, Place
from teal.events import CheckRow

_ASK_SECONDS: Final = 60.0
_UP: Final = "sudo teal cluster up"


@dataclass(frozen=True, slots=True)
class Status:
    """`healthy`: every row is ok. `ready`: what `teal cluster up` said at its end (`kubeconfig`, `shell`)."""

    healthy: bool
    rows: tuple[CheckRow, ...]
    ready: Mapping[str, Any] = field(default_factory=dict)

    def fields(self) -> dict[str, Any]:
        return {"healthy": self.healthy, "rows": [asdict(row) for row in self.rows], **self.ready}


def status(place: Place) -> Status:
    """A cluster that does not run, or not yet, is a row that says so. Raises BadInput where none can run, OperatorError without an answer."""
    checkout = require_checkout()
    if not places.is_running(place):
        return _one("not running", _UP)
    story = places.read(place)
    ready = story.data(READY)
    if not ready:
        last = story.events[-1] if story.events else None
        return _one(f"starting: {last.step} {last.detail}".rstrip() if last else "starting", f"{_UP} waits for it")
    rows = tuple(CheckRow(**row) for row in ask(checkout, "status", ready["folder"], str(ready["pid"]), seconds=_ASK_SECONDS))
    return Status(all(row.ok for row in rows), rows, ready)


def _one(detail: str, mend: str) -> Status:
    return Status(False, (CheckRow("cluster", False, detail, mend),))
