"""Expand and contract: which revisions may run while an older release still serves, and which must wait until none does."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal

from app.catalog import expanding
from app.catalog.engine import alembic_config, migrate
from app.errors import MigrationRefused

OLDEST_REVISION: Final = "0005"  # the oldest schema this code can serve; raise it together with code that needs a newer one


@dataclass(frozen=True, slots=True)
class Revision:
    """One step of the schema. `expand`: what runs now goes on working; `contract`: it takes away what an older release needs."""

    id: str
    phase: Literal["expand", "contract"]


def revisions() -> tuple[Revision, ...]:
    """Every revision this code knows, oldest first. One without a `phase` is a mistake of its author and raises."""
    from alembic.script import ScriptDirectory

    found = []
    for script in reversed(list(ScriptDirectory.from_config(alembic_config(None)).walk_revisions())):
        phase = getattr(script.module, "phase", None)
        if phase not in ("expand", "contract"):
            raise MigrationRefused(f'Revision {script.revision} must say `phase = "expand"` or `phase = "contract"`.')
        found.append(Revision(script.revision, phase))
    return tuple(found)


def require_expanding() -> None:
    """Raises MigrationRefused when a revision that is marked `expand` takes something away: asked when a version is built, and before it runs."""
    from alembic.script import ScriptDirectory

    for script in reversed(list(ScriptDirectory.from_config(alembic_config(None)).walk_revisions())):
        if getattr(script.module, "phase", None) == "expand":
            expanding.check(script.revision, script.module.upgrade)


def pending_revisions(known: Sequence[Revision], at: str | None) -> tuple[Revision, ...]:
    """Revisions after `at`; none when the database is ahead of this code."""
    ids = [revision.id for revision in known]
    if at is None:
        return tuple(known)
    return tuple(known[ids.index(at) + 1 :]) if at in ids else ()


def expandable(known: Sequence[Revision], at: str | None, *, oldest: str | None = None) -> str | None:
    """The revision to which only expanding leads; None when nothing is to be done. An empty database has no release to protect.
    `oldest`: the first revision that the code can serve, its own when not given.

    Raises MigrationRefused when the code needs a contraction first, or when an expansion waits behind one.
    """
    if at is None:
        return known[-1].id
    waiting = pending_revisions(known, at)
    first = next((n for n, revision in enumerate(waiting) if revision.phase == "contract"), len(waiting))
    behind = [
        revision.id for revision in waiting[first:] if revision.phase == "expand" or revision.id == (oldest or OLDEST_REVISION)
    ]
    if behind:
        raise MigrationRefused(
            f"Revision {behind[0]} is needed, and {waiting[first].id} before it contracts the schema that the active release uses."
        )
    return waiting[first - 1].id if first else None


def expand(url: str, at: str | None) -> str | None:
    """Run the expanding revisions that wait; the revision the schema is at afterwards."""
    target = expandable(revisions(), at)
    return at if target is None else migrate(url, to=target)


def take_back(url: str, at: str | None, to: str) -> str:
    """Undo expanding revisions, newest first, down to `to`. What their new columns held is gone. Raises MigrationRefused for a revision that
    this code does not know, and when a contraction lies between: that one's downgrade brings no data back."""
    known = revisions()
    if at not in [one.id for one in known] or to not in [one.id for one in known]:
        raise MigrationRefused(f"The schema is at {at}; this code cannot take it back to {to}.")
    between = [one for one in pending_revisions(known, to) if one not in pending_revisions(known, at)]
    if contracted := [one.id for one in between if one.phase == "contract"]:
        raise MigrationRefused(f"Revision {contracted[0]} contracted the schema: only a snapshot brings back what it took.")
    return migrate(url, to=to, back=True) if between else to


def contract(url: str) -> str:
    """Run everything that waits. The caller knows that no release needs the old schema any more (`teal` asks the record)."""
    return migrate(url)
