"""The release record: one small object changed by compare-and-set, and one immutable document for each release."""

from __future__ import annotations

from datetime import datetime
from typing import Literal, NewType, Protocol

from pydantic import BaseModel, ConfigDict

from contract.color import COLORS as COLORS
from contract.color import Color as Color
from contract.color import ColorState as ColorState
from teal.errors import OperatorError

Phase = Literal["Progressing", "Paused", "RollingBack", "Healthy", "Degraded"]  # words of Argo Rollouts, and RollingBack
Version = NewType("Version", str)  # the store's identifier of the read state: a digest, an ETag


def other(color: Color) -> Color:
    return "green" if color == "blue" else "blue"


class _Frozen(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Lease(_Frozen):
    """Which process is releasing. It expires by itself; `token` fences off a holder that was suspended past its end."""

    holder: str
    token: str
    expires_at: datetime


class ReleaseUnderway(_Frozen):
    """The release that is under way or being undone."""

    id: str
    target: Color
    step: str
    phase: Phase
    started_at: datetime
    note: str = ""  # why the watchdog, not the releaser, undoes it


class Freeze(_Frozen):
    """Why no release may begin, and who said so."""

    message: str
    who: str
    since: datetime


class Record(_Frozen):
    """The release record. `generation` grows with every decision about traffic; a releaser that reads another value stops.
    The traffic shares are not in it."""

    generation: int = 0
    active: Color | None = None
    release: ReleaseUnderway | None = None
    lease: Lease | None = None
    blue: ColorState | None = None
    green: ColorState | None = None
    freeze: Freeze | None = None
    history: tuple[str, ...] = ()  # release ids, newest first, 20 at most

    def color(self, color: Color) -> ColorState | None:
        return self.blue if color == "blue" else self.green

    @property
    def active_state(self) -> ColorState | None:
        """The state of the active color; None before the first release."""
        return self.color(self.active) if self.active else None


class LostRace(OperatorError):
    """Another process changed the record since it was read: read it again and decide anew."""

    code = "lost-race"

    def __init__(self, where: str) -> None:
        super().__init__("The record was changed by somebody else meanwhile", where=where, next="teal history")


class Store(Protocol):
    """Where record and releases are kept: `FileStore` on a laptop, `S3RecordStore` on AWS. Contract: tests/contract/test_record_contract.py."""

    def read(self) -> tuple[Record, Version]:
        """The record and its version; a new `Record()` with a version that means "absent" when there is none yet."""
        ...

    def write(self, record: Record, *, expected: Version) -> Version:
        """Replace the record if it still has the version `expected`; raises LostRace otherwise."""
        ...

    def create(self, key: str, body: bytes) -> None:
        """Keep an immutable object (`releases/<id>.json`, `evidence/<id>/...`); raises LostRace when it exists with other content."""
        ...

    def fetch(self, key: str) -> bytes | None:
        """An object, or None."""
        ...
