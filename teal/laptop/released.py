"""The laptop's release record under `.teal/releases/`, and the first release, which `teal up` makes by itself."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path

from teal.laptop import versions
from teal.laptop.configuration import DEFAULT_INDEX
from teal.laptop.environments import project
from teal.laptop.layout import Layout
from teal.laptop.open_traffic import open_traffic
from teal.laptop.program import NOT_COMPARED
from teal.laptop.state import APP_PROCESSES
from teal.ports.traffic import all_to
from teal.record.file import FileStore
from teal.record.model import COLORS, Color, ColorState, Record, Store, Version
from teal.record.person import person_name
from teal.record.releases import ReleaseOutcome, ReleasePlan, outcome_key, plan_key


def open_store(layout: Layout) -> Store:
    """Where the laptop's record is kept."""
    return FileStore(layout.releases)


def releases(record: Record) -> tuple[tuple[Color, ColorState], ...]:
    """The colors that have a release, and therefore run."""
    return tuple((color, state) for color in COLORS if (state := record.color(color)) is not None)


def first_release(layout: Layout, store: Store, source: Path | None = None) -> tuple[Record, Version]:
    """Build the tree and make it the active release in blue.
    The caller fills in its configuration before the record is first written."""
    version = versions.build(layout, source or project(), "first")
    record, stamp = store.read()
    identity = f"{datetime.now(UTC):%Y%m%d-%H%M%S}-{secrets.token_hex(2)}"
    state = ColorState(release_id=identity, image=version.id, label=version.label, index=DEFAULT_INDEX,
                       schema_min=version.schema_min, schema_max=version.schema_max, replica_floor=APP_PROCESSES)  # fmt: skip
    return record.model_copy(update={"active": "blue", "blue": state, "history": (identity, *record.history)[:20]}), stamp


def write_first(store: Store, record: Record) -> None:
    """Write the first release for `teal history`. It has no steps, because there was no traffic to shift."""
    found = record.blue
    if found is None or store.fetch(plan_key(found.release_id)) is not None:
        return
    id, now = found.release_id, datetime.now(UTC)
    document = ReleasePlan(
        id=id,
        target="blue",
        previous=None,
        state=found,
        replaces=None,
        reindex=False,
        steps=(),
        who=person_name(),
        started_at=now,
    )
    outcome = ReleaseOutcome(id=id, phase="Healthy", reason="the first, by `teal up`", who=person_name(), ended_at=now)
    store.create(plan_key(id), document.model_dump_json(indent=1).encode())
    store.create(outcome_key(id), outcome.model_dump_json(indent=1).encode())


def configured(record: Record, config: Mapping[str, str]) -> Record:
    """The record with this configuration in its active color; unchanged without a relevant difference. The other color keeps its
    own configuration, to which a rollback returns."""
    active = record.active
    state = record.active_state
    if active is None or state is None:
        return record
    differing = {name for name in state.config.keys() | config.keys() if state.config.get(name) != config.get(name)}
    if not differing - NOT_COMPARED:
        return record
    return record.model_copy(update={active: state.model_copy(update={"config": dict(config)})})


def set_traffic(layout: Layout, record: Record) -> None:
    """Give all traffic to the active color before anything runs.
    After a restart the shares of an interrupted release are obsolete."""
    open_traffic(layout).set(all_to(record.active or "blue"))
