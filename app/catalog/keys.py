"""API keys: shown once when they are made, stored as hashes, and rotated with an overlap so that callers have no gap."""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final, Literal, cast, get_args

from sqlalchemy import select
from sqlalchemy.orm import Session

from app.catalog.tables import KeyRow, now
from app.errors import InvalidRequest, NotFound, Unauthenticated

Role = Literal["reader", "writer", "admin"]
ROLES: Final[tuple[Role, ...]] = get_args(Role)  # each may do what those before it may
COLLECTION_NAME: Final = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}")
_SECRET_BYTES: Final = 32  # 256 random bits cannot be guessed, so a plain SHA-256 is a sufficient hash
_FORM: Final = re.compile(r"teal_([0-9a-f]{12})_([A-Za-z0-9_-]{43})", re.ASCII)
_NOBODY: Final = hashlib.sha256(b"").hexdigest()
# How long before its end a key counts as ending soon. Keys with a shorter lifetime (a release's key: 6
# hours) are meant to end and never count.
ENDS_SOON: Final = timedelta(days=14)


@dataclass(frozen=True, slots=True)
class Quota:
    """The most that a key may send in one UTC day; None: limited by the rate limit alone."""

    requests: int | None = None
    questions: int | None = None


@dataclass(frozen=True, slots=True)
class Principal:
    """The sender of a request: a key, its role and its collections. `collections` None: all collections."""

    key_id: str
    name: str
    role: Role
    collections: tuple[str, ...] | None
    quota: Quota = Quota()

    def may(self, role: Role) -> bool:
        """True when this principal's role includes `role`."""
        return ROLES.index(self.role) >= ROLES.index(role)


@dataclass(frozen=True, slots=True)
class KeyInfo:
    """A key without its secret."""

    id: str
    name: str
    role: Role
    collections: tuple[str, ...] | None
    created_at: datetime
    expires_at: datetime | None
    revoked_at: datetime | None
    quota: Quota = Quota()
    replaced_by: str | None = None

    def ends_soon(self, moment: datetime) -> bool:
        """Whether the users of this key need another one: it expires within `ENDS_SOON`,
        was not revoked, and was not replaced."""
        if self.expires_at is None or self.revoked_at is not None or self.replaced_by is not None:
            return False
        meant_to = self.expires_at - self.created_at < ENDS_SOON
        return not meant_to and moment < self.expires_at <= moment + ENDS_SOON


def create_key(
    session: Session,
    *,
    name: str,
    role: Role,
    collections: tuple[str, ...] | None = None,
    expires_at: datetime | None = None,
    quota: Quota = Quota(),
) -> tuple[KeyInfo, str]:
    """Make a key. Returns it with its text `teal_<id>_<secret>`, which cannot be shown again."""
    if role not in ROLES:
        raise InvalidRequest(f"There is no role {role!r}; there are {', '.join(ROLES)}.")
    for collection in collections or ():
        if not COLLECTION_NAME.fullmatch(collection):
            raise InvalidRequest(f"{collection!r} cannot be a collection: small letters, digits, '.', '_' and '-', 64 at most.")
    if expires_at is not None and expires_at.tzinfo is None:
        raise InvalidRequest("The expiry of a key needs a time zone, for example 2030-01-01T00:00:00+00:00.")
    _check_quota(quota)
    secret = secrets.token_urlsafe(_SECRET_BYTES)
    row = KeyRow(
        id=secrets.token_hex(6),
        name=name,
        role=role,
        collections=None if collections is None else list(collections),
        secret_sha256=_hash(secret),
        created_at=now(),
        expires_at=expires_at,
        revoked_at=None,
        requests_per_day=quota.requests,
        questions_per_day=quota.questions,
        replaced_by=None,
    )
    session.add(row)
    session.flush()
    return _info(row), f"teal_{row.id}_{secret}"


def verify_key(session: Session, presented: str) -> Principal:
    """The principal of a key text; raises the same `Unauthenticated` for a malformed, unknown, revoked or expired key."""
    match = _FORM.fullmatch(presented)
    row = session.get(KeyRow, match[1]) if match else None
    expected = row.secret_sha256 if row else _NOBODY
    right = hmac.compare_digest(_hash(match[2] if match else presented), expected)
    if row is None or not right or not is_usable(row):
        raise Unauthenticated("The key is unknown, revoked or expired.")
    return principal(row)


def revoke(session: Session, key_id: str) -> KeyInfo:
    """Revoke a key at once; idempotent. Raises `NotFound`."""
    row = _row(session, key_id)
    row.revoked_at = row.revoked_at or now()
    return _info(row)


def rotate(session: Session, key_id: str, *, grace: timedelta, expires_at: datetime | None = None) -> tuple[KeyInfo, str]:
    """Make a key that differs from this one only in id and secret; returns it with its text. The old
    key is valid for `grace` and then expires.

    Without `expires_at` the new key gets the lifetime that the old one was made with. Raises `NotFound`, and `InvalidRequest` for
    a key that has ended or was already replaced: another new key would leave the first replacement unused but valid.
    """
    row = _row(session, key_id, alone=True)
    if not is_usable(row):
        raise InvalidRequest(f"The key {row.id} has ended.", action="`teal keys create` makes a new one.")
    if row.replaced_by is not None:
        raise InvalidRequest(f"The key {row.id} was replaced by {row.replaced_by} already; rotate that one.")
    moment = now()
    if expires_at is None and row.expires_at is not None:
        expires_at = moment + (row.expires_at - row.created_at)
    old = _info(row)
    made, text = create_key(
        session, name=old.name, role=old.role, collections=old.collections, expires_at=expires_at, quota=old.quota
    )
    row.replaced_by = made.id
    row.expires_at = min(moment + grace, row.expires_at or moment + grace)
    return made, text


def set_quota(session: Session, key_id: str, quota: Quota) -> KeyInfo:
    """Replace a key's quota; the new one applies within seconds. Raises `NotFound`."""
    _check_quota(quota)
    row = _row(session, key_id)
    row.requests_per_day, row.questions_per_day = quota.requests, quota.questions
    return _info(row)


def list_keys(session: Session) -> list[KeyInfo]:
    """All keys, oldest first."""
    return [_info(row) for row in session.scalars(select(KeyRow).order_by(KeyRow.created_at, KeyRow.id))]


def is_usable(row: KeyRow) -> bool:
    """True while the key is neither revoked nor expired."""
    return row.revoked_at is None and (row.expires_at is None or row.expires_at > now())


def principal(row: KeyRow) -> Principal:
    """The principal of a verified row."""
    collections = None if row.collections is None else tuple(row.collections)
    return Principal(row.id, row.name, cast("Role", row.role), collections, Quota(row.requests_per_day, row.questions_per_day))


def presented_id(presented: str) -> str | None:
    """The key id, which is not secret, in a text that has the form of a key; None for a text of another form."""
    match = _FORM.fullmatch(presented)
    return match[1] if match else None


def _row(session: Session, key_id: str, *, alone: bool = False) -> KeyRow:
    """The key's row. `alone`: the row is locked, so that no other transaction changes it. Raises `NotFound`."""
    row = session.get(KeyRow, key_id, with_for_update=alone)
    if row is None:
        raise NotFound(f"There is no key {key_id[:64]!r}.", action="`teal keys list` shows them.")
    return row


def _check_quota(quota: Quota) -> None:
    for kind, limit in (("requests", quota.requests), ("questions", quota.questions)):
        if limit is not None and limit < 1:
            raise InvalidRequest(f"A quota of {limit} {kind} a day lets nothing through; revoke the key instead.")


def _hash(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()


def _info(row: KeyRow) -> KeyInfo:
    who = principal(row)
    return KeyInfo(
        id=who.key_id,
        name=who.name,
        role=who.role,
        collections=who.collections,
        created_at=row.created_at,
        expires_at=row.expires_at,
        revoked_at=row.revoked_at,
        quota=who.quota,
        replaced_by=row.replaced_by,
    )
