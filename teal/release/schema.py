"""Which revisions of the catalog's schema an image can serve. Pure functions.
Revisions are ordered by their numbers: 0002 after 0001."""

from __future__ import annotations

from teal.record.model import COLORS, Record


def order(revision: str) -> tuple[int, str]:
    """A key to sort revisions by. An empty one (a database without tables) is the oldest."""
    return (int(revision) if revision.isdigit() else -1 if not revision else 0, revision)


def covers(oldest: str, revision: str, newest: str) -> bool:
    """Whether an image that serves `oldest` to `newest` serves a database at `revision`."""
    return order(oldest) <= order(revision) <= order(newest)


def needs_old_schema(record: Record, head: str) -> tuple[str, ...]:
    """Why contracting the schema to `head` would break a color, one line each; empty when no color needs the older schema.

    A release that is not over (its rollback window included) may return to the other color, and a color whose image serves only
    revisions before `head` cannot serve the contracted schema.
    """
    found = []
    if record.release is not None:
        found.append(f"release {record.release.id} is not over ({record.release.step}): its rollback needs the schema as it is")
    for color in COLORS:
        state = record.color(color)
        if state is not None and not covers(state.schema_min, head, state.schema_max):
            found.append(
                f"{color} runs {state.label or state.image[:12]}, which serves {state.schema_min} to {state.schema_max}, not {head}"
            )
    return tuple(found)
