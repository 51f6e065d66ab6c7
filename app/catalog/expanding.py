"""Checks that a revision marked `expand` is one: an older release must be able to read and write while and after it runs."""

from __future__ import annotations

import io
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final

from app.errors import MigrationRefused

_NAME: Final = r'(?:"[^"]+"|[\w.]+)'
_WIDER: Final = r"(?:TEXT|BIGINT)\b"  # every value that an older release writes still fits


@dataclass(frozen=True, slots=True)
class ForbiddenStatement:
    """One kind of statement that breaks an older release. `on_new`: it is allowed on a table that the same revision creates."""

    pattern: re.Pattern[str]
    why: str
    on_new: bool = True


def _statement(pattern: str) -> re.Pattern[str]:
    return re.compile(pattern, re.IGNORECASE | re.DOTALL)


# In PostgreSQL's dialect: a revision is checked as generated SQL, so that statements in `op.execute` are seen too.
FORBIDDEN: Final = (
    ForbiddenStatement(_statement(rf"^DROP TABLE\s+(?:IF EXISTS\s+)?(?P<table>{_NAME})"), "drops a table"),
    ForbiddenStatement(_statement(r"^DROP\s+(?:VIEW|MATERIALIZED|SCHEMA|TYPE|SEQUENCE|FUNCTION)"), "drops what an older release may use", on_new=False),
    ForbiddenStatement(_statement(r"^(?:TRUNCATE|DELETE\s+FROM)"), "deletes rows", on_new=False),
    ForbiddenStatement(_statement(rf"^ALTER TABLE\s+(?P<table>{_NAME})\s+DROP\s+(?!CONSTRAINT)"), "drops a column"),
    ForbiddenStatement(_statement(rf"^ALTER (?:TABLE|VIEW|TYPE|SEQUENCE)\s+(?P<table>{_NAME})\s+RENAME"), "renames"),
    ForbiddenStatement(_statement(rf"^ALTER TABLE\s+(?P<table>{_NAME})\s+ALTER\s.*\sTYPE\s+(?!{_WIDER})"), "changes a column's type"),
    ForbiddenStatement(_statement(rf"^ALTER TABLE\s+(?P<table>{_NAME})\s+ALTER\s.*\sSET NOT NULL"), "makes a column NOT NULL"),
    ForbiddenStatement(_statement(rf"^ALTER TABLE\s+(?P<table>{_NAME})\s+ALTER\s.*\sDROP DEFAULT"), "takes a column's default away"),
    ForbiddenStatement(_statement(rf"^ALTER TABLE\s+(?P<table>{_NAME})\s+ADD COLUMN\s(?!.*\bDEFAULT\b).*\bNOT NULL\b"), "adds a NOT NULL column without a default"),
    ForbiddenStatement(_statement(rf"^ALTER TABLE\s+(?P<table>{_NAME})\s+ADD\s+(?:CONSTRAINT\s+{_NAME}\s+)?(?:CHECK|UNIQUE|FOREIGN KEY|PRIMARY KEY)"),
              "forbids rows that an older release writes"),
    ForbiddenStatement(_statement(rf"^CREATE UNIQUE INDEX\s.*?\sON\s+(?P<table>{_NAME})"), "forbids rows that an older release writes"),
)  # fmt: skip


def check(revision: str, upgrade: Callable[[], None]) -> None:
    """Raises MigrationRefused, naming the statement, when the upgrade of a revision marked
    `expand` would break an older release."""
    for statement, why in destructive(statements(revision, upgrade)):
        raise MigrationRefused(
            f"Revision {revision} is marked expand and {why}, which the release that serves meanwhile still needs: {statement[:200]}"
        )


def statements(revision: str, upgrade: Callable[[], None]) -> list[str]:
    """The upgrade as SQL statements, made without a database. Raises MigrationRefused for an upgrade that needs one to run."""
    from alembic.migration import MigrationContext
    from alembic.operations import Operations

    written = io.StringIO()
    context = MigrationContext.configure(dialect_name="postgresql", opts={"as_sql": True, "output_buffer": written})
    try:
        with Operations.context(context):
            upgrade()
    except Exception as error:
        raise MigrationRefused(
            f"Revision {revision} is marked expand and cannot be read without a database ({error}): write it with `op` alone."
        ) from error
    return [" ".join(one.split()) for one in re.split(r";\s*(?:\n|$)", written.getvalue()) if one.strip()]


def destructive(found: list[str]) -> Iterator[tuple[str, str]]:
    """(statement, what it does) for each statement that would break an older release."""
    made = {match[1].strip('"').lower() for one in found if (match := re.match(rf"CREATE TABLE\s+({_NAME})", one, re.IGNORECASE))}
    for one in found:
        for kind in FORBIDDEN:
            match = kind.pattern.match(one)
            if match is None:
                continue
            table = (match.groupdict().get("table") or "").strip('"').lower()
            if not (kind.on_new and table in made):
                yield one, kind.why
