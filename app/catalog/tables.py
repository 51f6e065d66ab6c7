"""Tables of the catalog. Every query of the service is served by an index named here; tests prove it by EXPLAIN."""

from __future__ import annotations

import secrets
import time
from datetime import UTC, date, datetime, timedelta
from typing import Any, Final

from sqlalchemy import JSON, BigInteger, Date, DateTime, Dialect, ForeignKey, Index, LargeBinary, String, Text, text
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column
from sqlalchemy.types import TypeDecorator

_LIVE = text("deleted_at IS NULL")
_PURGED = text("purged_at IS NOT NULL")
_REPLACED = text("replaced_by IS NOT NULL")
_WAITING = text("replaced_by IS NOT NULL AND deleted_at IS NULL")
# The start of a document's origin: its source, or else its file name. PostgreSQL refuses index values longer than 2,700 bytes.
ORIGIN_START = text("substr(coalesce(source, filename), 1, 200)")


def new_id() -> str:
    """A UUIDv7 as text (RFC 9562): ids sort by the millisecond they were made in, so a cursor over ids is a cursor over time."""
    milliseconds = time.time_ns() // 1_000_000
    random = secrets.randbits(74)
    value = (milliseconds << 80) | (0x7 << 76) | ((random >> 62) << 64) | (0b10 << 62) | (random & ((1 << 62) - 1))
    digits = f"{value:032x}"
    return f"{digits[:8]}-{digits[8:12]}-{digits[12:16]}-{digits[16:20]}-{digits[20:]}"


def oldest_id(moment: datetime) -> str:
    """The lower bound of the ids of a moment: it sorts before every id made at `moment` or later, and after every earlier id."""
    digits = f"{int(moment.timestamp() * 1000):012x}"
    return f"{digits[:8]}-{digits[8:]}"


def now() -> datetime:
    """The present moment, UTC."""
    return datetime.now(UTC)


# How far two machines' clocks may differ. A moment that lies further in the future was stamped by a clock that was set back since
# then; code that waits until such a moment is long ago would wait for as long as the clock was wrong.
AHEAD: Final = timedelta(minutes=5)


class UtcDateTime(TypeDecorator[datetime]):
    """Timezone-aware UTC moments on both databases. SQLite has no time zones: naive UTC is
    stored and made aware when it is read."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        utc = value.astimezone(UTC)
        return utc.replace(tzinfo=None) if dialect.name == "sqlite" else utc

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


class Base(DeclarativeBase):
    """Metadata of the catalog."""


class DocumentRow(Base):
    """One accepted document. `revision` grows with each ingestion and is the fencing token against workers of an older revision.
    `replaced_by`: the id of the document that replaces this one as soon as it is indexed; it is kept after this one's deletion,
    so that the old id still leads to the newest version."""

    __tablename__ = "documents"

    id: Mapped[str] = mapped_column(String(36), primary_key=True)
    collection: Mapped[str] = mapped_column(String(200))
    title: Mapped[str] = mapped_column(Text)
    source: Mapped[str | None] = mapped_column(Text)
    attributes: Mapped[dict[str, Any]] = mapped_column("metadata", JSON)
    content_sha256: Mapped[str] = mapped_column(String(64))
    media_type: Mapped[str] = mapped_column(String(200))
    filename: Mapped[str | None] = mapped_column(Text)
    bytes: Mapped[int] = mapped_column(BigInteger)
    status: Mapped[str] = mapped_column(String(16))
    error_code: Mapped[str | None] = mapped_column(String(64))
    error_detail: Mapped[str | None] = mapped_column(Text)
    warnings: Mapped[list[str] | None] = mapped_column(JSON(none_as_null=True))
    attempts: Mapped[int] = mapped_column(default=0)
    revision: Mapped[int] = mapped_column(default=1)
    passages_total: Mapped[int] = mapped_column(default=0)
    passages_done: Mapped[int] = mapped_column(default=0)
    embedded: Mapped[bool] = mapped_column(default=True)
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)
    updated_at: Mapped[datetime] = mapped_column(UtcDateTime)
    deleted_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    replaced_by: Mapped[str | None] = mapped_column(String(36))
    purged_at: Mapped[datetime | None] = mapped_column(UtcDateTime)

    __table_args__ = (
        Index("documents_content", "collection", "content_sha256", unique=True, sqlite_where=_LIVE, postgresql_where=_LIVE),
        Index("documents_listing", "id", sqlite_where=_LIVE, postgresql_where=_LIVE),
        Index("documents_collection_listing", "collection", "id", sqlite_where=_LIVE, postgresql_where=_LIVE),
        Index("documents_status_sweep", "status", "updated_at", "id", sqlite_where=_LIVE, postgresql_where=_LIVE),
        Index("documents_status_listing", "status", "id", sqlite_where=_LIVE, postgresql_where=_LIVE),
        Index(
            "documents_to_purge",
            "deleted_at",
            sqlite_where=text("deleted_at IS NOT NULL AND purged_at IS NULL"),
            postgresql_where=text("deleted_at IS NOT NULL AND purged_at IS NULL"),
        ),
        Index("documents_purged", "purged_at", sqlite_where=_PURGED, postgresql_where=_PURGED),
        Index("documents_replaced", "replaced_by", sqlite_where=_REPLACED, postgresql_where=_REPLACED),
        Index("documents_waiting", "replaced_by", "id", sqlite_where=_WAITING, postgresql_where=_WAITING),
        Index("documents_origin", "collection", ORIGIN_START, sqlite_where=_LIVE, postgresql_where=_LIVE),
        Index(
            "documents_to_embed",
            "id",
            sqlite_where=text("NOT embedded AND deleted_at IS NULL"),
            postgresql_where=text("NOT embedded AND deleted_at IS NULL"),
        ),
    )


class ContentRow(Base):
    """The document's bytes as they came: with them every index can be rebuilt from the catalog alone."""

    __tablename__ = "document_contents"

    document_id: Mapped[str] = mapped_column(ForeignKey("documents.id", ondelete="CASCADE"), primary_key=True)
    body: Mapped[bytes] = mapped_column(LargeBinary)


class IdempotencyRow(Base):
    """The request that one key sent with one `Idempotency-Key`."""

    __tablename__ = "idempotency_keys"

    key_id: Mapped[str] = mapped_column(String(64), primary_key=True)
    idempotency_key: Mapped[str] = mapped_column(String(255), primary_key=True)
    fingerprint: Mapped[str] = mapped_column(String(64))
    document_id: Mapped[str] = mapped_column(ForeignKey("documents.id", ondelete="CASCADE"), index=True)
    created_at: Mapped[datetime] = mapped_column(UtcDateTime, index=True)


class KeyRow(Base):
    """An API key; only the SHA-256 of its secret is kept."""

    __tablename__ = "api_keys"

    id: Mapped[str] = mapped_column(String(32), primary_key=True)
    name: Mapped[str] = mapped_column(String(200))
    role: Mapped[str] = mapped_column(String(16))
    collections: Mapped[list[str] | None] = mapped_column(JSON)
    secret_sha256: Mapped[str] = mapped_column(String(64))
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)
    expires_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    revoked_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    requests_per_day: Mapped[int | None] = mapped_column(BigInteger)
    questions_per_day: Mapped[int | None] = mapped_column(BigInteger)
    replaced_by: Mapped[str | None] = mapped_column(String(32))


class KeyUsageRow(Base):
    """What one key with a quota has used on one UTC day; the reservations of processes count as used."""

    __tablename__ = "key_usage"

    key_id: Mapped[str] = mapped_column(ForeignKey("api_keys.id", ondelete="CASCADE"), primary_key=True)
    day: Mapped[date] = mapped_column(Date, primary_key=True)
    requests: Mapped[int] = mapped_column(BigInteger, default=0)
    questions: Mapped[int] = mapped_column(BigInteger, default=0)


class SessionRow(Base):
    """A signed-in web page; only the SHA-256 of its token is kept."""

    __tablename__ = "page_sessions"

    token_sha256: Mapped[str] = mapped_column(String(64), primary_key=True)
    key_id: Mapped[str] = mapped_column(ForeignKey("api_keys.id", ondelete="CASCADE"), index=True)
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)
    expires_at: Mapped[datetime] = mapped_column(UtcDateTime, index=True)


class IndexStateRow(Base):
    """A table of one row with the index generation: how often the visible content of the index has changed."""

    __tablename__ = "index_state"

    id: Mapped[int] = mapped_column(primary_key=True)
    generation: Mapped[int] = mapped_column(BigInteger)


class WorkerRow(Base):
    """A worker's last heartbeat: another worker takes over the jobs of a worker that sends none. `document_id`, `document_since`:
    the document that it has been processing for longest, and since when."""

    __tablename__ = "workers"

    executor_id: Mapped[str] = mapped_column(String(100), primary_key=True)
    release_id: Mapped[str] = mapped_column(String(200), primary_key=True)
    seen_at: Mapped[datetime] = mapped_column(UtcDateTime)
    document_id: Mapped[str | None] = mapped_column(String(36))
    document_since: Mapped[datetime | None] = mapped_column(UtcDateTime)


class SearchIndexRow(Base):
    """A registered search index: a document that the worker of another index finishes is added to its outbox. `serving`: a worker
    feeds it and users search it. `seeded`: every document that existed when it was registered has been added to its outbox."""

    __tablename__ = "search_indexes"

    name: Mapped[str] = mapped_column(String(100), primary_key=True)
    serving: Mapped[bool] = mapped_column(default=False)
    seeded: Mapped[bool] = mapped_column(default=False)
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)


class OutboxRow(Base):
    """An entry of the index outbox: a document that one index has still to take over from the catalog. `stamp`
    changes each time the document is added again. The table keeps its name of migration 0002: renaming it would break
    the version that a rollback returns to."""

    __tablename__ = "index_backlog"

    index_name: Mapped[str] = mapped_column(String(100), primary_key=True)
    document_id: Mapped[str] = mapped_column(String(36), primary_key=True)
    stamp: Mapped[str] = mapped_column(String(36))
    attempts: Mapped[int] = mapped_column(default=0)
    error: Mapped[str | None] = mapped_column(Text)

    __table_args__ = (
        Index("index_backlog_order", "index_name", "attempts", "stamp"),
        Index("index_backlog_document", "document_id"),
    )


class SampledQueryRow(Base):
    """One recorded search or question of a user; the id says when. `collections`: those it was allowed to find, None for all.
    `conditions`: which other filters it had, without their values. `hits`: passages found, or cited by the answer. `answered` is
    None for a search. `request`: the encrypted request, only while TEAL_QUERY_SAMPLE is `texts`."""

    __tablename__ = "sampled_queries"

    id: Mapped[str] = mapped_column(String(36), primary_key=True)
    kind: Mapped[str] = mapped_column(String(16))
    mode: Mapped[str | None] = mapped_column(String(16))
    top_k: Mapped[int]
    collections: Mapped[list[str] | None] = mapped_column(JSON(none_as_null=True))
    conditions: Mapped[list[str]] = mapped_column(JSON)
    text_hash: Mapped[str] = mapped_column(String(64))
    characters: Mapped[int]
    hits: Mapped[int]
    answered: Mapped[bool | None]
    request: Mapped[bytes | None] = mapped_column(LargeBinary)

    __table_args__ = (
        Index(
            "sampled_queries_texts",
            "id",
            sqlite_where=text("request IS NOT NULL"),
            postgresql_where=text("request IS NOT NULL"),
        ),
    )


class SnapshotCheckRow(Base):
    """When a snapshot was last restored for a test and passed, and how many sample questions found their document in it."""

    __tablename__ = "snapshot_checks"

    snapshot_id: Mapped[str] = mapped_column(String(100), primary_key=True)
    verified_at: Mapped[datetime] = mapped_column(UtcDateTime)
    sampled: Mapped[int] = mapped_column(default=0)
