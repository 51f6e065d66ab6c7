"""The documents of each release: its plan, written before anything is done and never changed, and its outcome."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime
from typing import Literal, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from teal.errors import NeedsHuman
from teal.record.file import StoreFailed
from teal.record.lease import Superseded, require_underway
from teal.record.model import Color, ColorState, Record, Store

Kept = TypeVar("Kept", bound=BaseModel)


class _Frozen(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class PlannedStep(_Frozen):
    """One step of a plan: the name of its action, and sentences about what it does and what its undo does. `percent`: the target
    color's share of the requests while it runs."""

    action: str
    says: str
    undo: str
    percent: int | None = None
    shape: str | None = None  # of a load test

    @property
    def name(self) -> str:
        return self.action if self.percent is None else f"{self.action}-{self.percent}"


class ReleasePlan(_Frozen):
    """`releases/<id>.json`: what was decided when the release began."""

    id: str
    target: Color
    previous: Color | None
    state: ColorState  # as planned; `replica_floor` may be raised later, in the record only
    replaces: ColorState | None
    reindex: bool
    steps: tuple[PlannedStep, ...]
    who: str
    started_at: datetime


class ReleaseOutcome(_Frozen):
    """`releases/<id>.outcome.json`: how a release ended. `phase` Healthy: it became the active color. Degraded: it was undone."""

    model_config = ConfigDict(extra="ignore", frozen=True)  # older versions of Teal wrote one field more
    id: str
    phase: Literal["Healthy", "Degraded"]
    reason: str
    who: str
    ended_at: datetime
    evidence: str = ""  # key of the page; empty in what older versions of Teal wrote


@dataclass(frozen=True, slots=True)
class PastRelease:
    """One line of the history. `outcome` None: it is under way, or its end could not be written. `plan` None: the plan is
    missing. `unreadable`: keys of documents that exist but cannot be read."""

    id: str
    plan: ReleasePlan | None
    outcome: ReleaseOutcome | None
    underway: bool
    unreadable: tuple[str, ...] = ()


def is_id(text: str) -> bool:
    """Whether the text has the form of a release id: a time and four digits. Ids from `teal up` have no letter before them."""
    return re.fullmatch(r"r?\d{8}-\d{6}-[0-9a-f]{4}", text) is not None


def plan_key(id: str) -> str:
    return f"releases/{id}.json"


def outcome_key(id: str) -> str:
    return f"releases/{id}.outcome.json"


def past_releases(store: Store) -> tuple[Record, tuple[PastRelease, ...]]:
    """The record, and the releases it names, newest first; two reads of the store each."""
    record, _ = store.read()
    found = []
    for id in record.history:
        unreadable: list[str] = []
        plan = _where_readable(ReleasePlan, store, plan_key(id), unreadable)
        outcome = _where_readable(ReleaseOutcome, store, outcome_key(id), unreadable)
        found.append(PastRelease(id, plan, outcome, record.release is not None and record.release.id == id, tuple(unreadable)))
    return record, tuple(found)


def read_plan(store: Store, record: Record) -> ReleasePlan:
    """The plan of the release under way. Raises BadInput when none is, NeedsHuman when its plan is gone, StoreFailed when it cannot be read."""
    id = require_underway(record)
    plan = read_kept(ReleasePlan, store, plan_key(id))
    if plan is None:
        raise NeedsHuman(f"The plan of {id} is gone", where=plan_key(id), next="teal repair")
    return plan


def read_kept(kind: type[Kept], store: Store, key: str) -> Kept | None:
    """A plan or an outcome; None when it is not there. Raises StoreFailed when it is damaged or was written by a newer Teal."""
    body = store.fetch(key)
    if body is None:
        return None
    try:
        return kind.model_validate_json(body)
    except ValidationError as error:
        raise StoreFailed(
            f"What is kept of a release cannot be read: it is damaged, or a newer Teal wrote it ({error.errors()[0]['msg']})",
            key,
            "teal repair",
        ) from error


def _where_readable(kind: type[Kept], store: Store, key: str, unreadable: list[str]) -> Kept | None:
    try:
        return read_kept(kind, store, key)
    except StoreFailed:
        unreadable.append(key)
        return None


def require_same(record: Record, plan: ReleasePlan) -> None:
    """Raises Superseded when another release, or none, is under way now."""
    if record.release is None or record.release.id != plan.id:
        raise Superseded(record)
