"""Sessions of the web page: the cookie carries a random token, and the catalog stores its hash."""

from __future__ import annotations

import hashlib
import secrets
from datetime import timedelta
from typing import Final

from sqlalchemy import delete
from sqlalchemy.orm import Session

from app.catalog.keys import Principal, is_usable, principal
from app.catalog.tables import KeyRow, SessionRow, now
from app.errors import Unauthenticated

_TOKEN_BYTES: Final = 32


def open_session(session: Session, key_id: str, hours: int) -> str:
    """Start a session for this key; returns its token, which is valid for `hours`."""
    token = secrets.token_urlsafe(_TOKEN_BYTES)
    moment = now()
    session.add(
        SessionRow(token_sha256=_hash(token), key_id=key_id, created_at=moment, expires_at=moment + timedelta(hours=hours))
    )
    session.flush()
    return token


def session_principal(session: Session, token: str) -> Principal:
    """The principal of a session; raises `Unauthenticated` when the session ended or its key was revoked."""
    row = session.get(SessionRow, _hash(token))
    key = session.get(KeyRow, row.key_id) if row else None
    if row is None or key is None or row.expires_at <= now() or not is_usable(key):
        raise Unauthenticated("The session has ended. Sign in again.")
    return principal(key)


def close_session(session: Session, token: str) -> str | None:
    """End a session; returns the id of its key, or None for an unknown token, which is not an error."""
    row = session.get(SessionRow, _hash(token))
    if row is None:
        return None
    session.execute(delete(SessionRow).where(SessionRow.token_sha256 == row.token_sha256))
    return row.key_id


def _hash(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()
