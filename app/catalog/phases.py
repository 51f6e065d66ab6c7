"""Expand and contract: which schema revisions may run while an older release serves, and which must wait until none does."""

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
    """One revision of the schema. Phase `expand`: running releases keep working. `contract`:
    it removes what an older release needs."""

    id: str
    phase: Literal["expand", "contract"]


def revisions() -> tuple[Revision, ...]:
    """Every revision that this code knows, oldest first. Raises for a revision without a
    `phase`, which is a programming error."""
    from alembic.script import ScriptDirectory

    found = []
    for script in reversed(list(ScriptDirectory.from_config(alembic_config(None)).walk_revisions())):
        phase = getattr(script.module, "phase", None)
        if phase not in ("expand", "contract"):
            raise MigrationRefused(f'Revision {script.revision} must say `phase = "expand"` or `phase = "contract"`.')
        found.append(Revision(script.revision, phase))
    return tuple(found)


def require_expanding() -> None:
    """Raises MigrationRefused when a revision marked `expand` would break an older release. Called when a version is built and
    before the revision runs."""
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
    """The newest revision that expanding revisions alone reach from `at`; None when nothing is to be done. On an
    empty database every revision may run, because there is no release to protect. `oldest`: the first revision that
    the code can serve, by default this code's.

    Raises MigrationRefused when the code needs a contracting revision first, or when an
    expanding one comes after a contracting one.
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
    """Run the pending expanding revisions; returns the revision of the schema afterwards."""
    target = expandable(revisions(), at)
    return at if target is None else migrate(url, to=target)


def take_back(url: str, at: str | None, to: str) -> str:
    """Undo expanding revisions, newest first, down to `to`; the data in their new columns is lost. Raises
    MigrationRefused for a revision that this code does not know, and for a contracting revision in between,
    because its downgrade cannot restore data."""
    known = revisions()
    if at not in [one.id for one in known] or to not in [one.id for one in known]:
        raise MigrationRefused(f"The schema is at {at}; this code cannot take it back to {to}.")
    between = [one for one in pending_revisions(known, to) if one not in pending_revisions(known, at)]
    if contracted := [one.id for one in between if one.phase == "contract"]:
        raise MigrationRefused(f"Revision {contracted[0]} contracted the schema: only a snapshot brings back what it took.")
    return migrate(url, to=to, back=True) if between else to


def contract(url: str) -> str:
    """Run every pending revision. The caller must know that no release needs the old schema any
    more (`teal` reads the release record)."""
    return migrate(url)
