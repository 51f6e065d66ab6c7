"""API keys: made once, shown once, kept as hashes."""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
from dataclasses import dataclass
from datetime import datetime
from typing import Final, Literal, cast, get_args

from sqlalchemy import select
from sqlalchemy.orm import Session

from app.catalog.tables import KeyRow, now
from app.errors import InvalidRequest, NotFound, Unauthenticated

Role = Literal["reader", "writer", "admin"]
ROLES: Final[tuple[Role, ...]] = get_args(Role)  # each may do what those before it may
COLLECTION_NAME: Final = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}")
_SECRET_BYTES: Final = 32  # 256 bits of randomness: a plain SHA-256 is enough, there is nothing to guess
_FORM: Final = re.compile(r"teal_([0-9a-f]{12})_([A-Za-z0-9_-]{43})", re.ASCII)
_NOBODY: Final = hashlib.sha256(b"").hexdigest()


@dataclass(frozen=True, slots=True)
class Principal:
    """Who sends a request. `collections` None: all of them."""

    key_id: str
    name: str
    role: Role
    collections: tuple[str, ...] | None

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


def create(
    session: Session, *, name: str, role: Role, collections: tuple[str, ...] | None = None, expires_at: datetime | None = None
) -> tuple[KeyInfo, str]:
    """A new key and its text `teal_<id>_<secret>`, which cannot be read again."""
    if role not in ROLES:
        raise InvalidRequest(f"There is no role {role!r}; there are {', '.join(ROLES)}.")
    for collection in collections or ():
        if not COLLECTION_NAME.fullmatch(collection):
            raise InvalidRequest(f"{collection!r} cannot be a collection: small letters, digits, '.', '_' and '-', 64 at most.")
    if expires_at is not None and expires_at.tzinfo is None:
        raise InvalidRequest("The expiry of a key needs a time zone, for example 2030-01-01T00:00:00+00:00.")
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
    )
    session.add(row)
    session.flush()
    return _info(row), f"teal_{row.id}_{secret}"


def verify(session: Session, presented: str) -> Principal:
    """Who the key belongs to; raises `Unauthenticated` for a malformed, unknown, revoked or expired one alike."""
    match = _FORM.fullmatch(presented)
    row = session.get(KeyRow, match[1]) if match else None
    expected = row.secret_sha256 if row else _NOBODY
    right = hmac.compare_digest(_hash(match[2] if match else presented), expected)
    if row is None or not right or not usable(row):
        raise Unauthenticated("The key is unknown, revoked or expired.")
    return principal(row)


def revoke(session: Session, key_id: str) -> KeyInfo:
    """End a key at once; ending it twice is ending it once. Raises `NotFound`."""
    row = session.get(KeyRow, key_id)
    if row is None:
        raise NotFound(f"There is no key {key_id[:64]!r}; `teal keys list` shows them.")
    row.revoked_at = row.revoked_at or now()
    return _info(row)


def list_keys(session: Session) -> list[KeyInfo]:
    """All keys, oldest first."""
    return [_info(row) for row in session.scalars(select(KeyRow).order_by(KeyRow.created_at, KeyRow.id))]


def usable(row: KeyRow) -> bool:
    """True while the key is neither revoked nor expired."""
    return row.revoked_at is None and (row.expires_at is None or row.expires_at > now())


def principal(row: KeyRow) -> Principal:
    """The principal of a verified row."""
    return Principal(row.id, row.name, cast("Role", row.role), None if row.collections is None else tuple(row.collections))


def _hash(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()


def _info(row: KeyRow) -> KeyInfo:
    who = principal(row)
    return KeyInfo(who.key_id, who.name, who.role, who.collections, row.created_at, row.expires_at, row.revoked_at)
