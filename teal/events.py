"""The events that a long operation yields while it runs. `teal/cli.py` shows them to people or prints them as JSON lines."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

State = Literal["start", "ok", "warn", "progress"]


@dataclass(frozen=True, slots=True)
class Event:
    """One event of one step. `done` of `total`: how far the step is, with state progress. `data`: details for programs."""

    step: str
    state: State
    detail: str = ""
    done: int | None = None
    total: int | None = None
    data: Mapping[str, Any] = field(default_factory=dict)

    def fields(self) -> dict[str, Any]:
        """JSON-ready, without what is not set."""
        found: dict[str, Any] = {
            "step": self.step,
            "state": self.state,
            "detail": self.detail,
            "done": self.done,
            "total": self.total,
            **self.data,
        }
        return {name: value for name, value in found.items() if value is not None and value != ""}


@dataclass(frozen=True, slots=True)
class CheckRow:
    """One line of `teal status` or `teal doctor`: whether the thing works, a detail, and the command that mends it."""

    part: str
    ok: bool
    detail: str
    mend: str = ""
