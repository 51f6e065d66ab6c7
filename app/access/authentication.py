"""Authentication by API key or page session; results are checked against the catalog and remembered for two seconds."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import Final

from anyio import to_thread
from cachetools import TTLCache
from starlette.requests import HTTPConnection

from app.catalog import keys, sessions
from app.catalog.engine import Catalog
from app.catalog.keys import Principal, Role
from app.errors import Forbidden, Unauthenticated
from app.settings import Settings
from contract.http import SESSION_COOKIE as SESSION_COOKIE

# A revoked key stops working within this time; a catalog read per request would cost more than the search
_REMEMBERED_SECONDS: Final = 2
_REMEMBERED_KEYS: Final = 10_000
_ANYONE: Final = Principal(key_id="anonymous", name="anonymous", role="admin", collections=None)


class _Unseen:
    """Marks a credential that is not remembered; for a wrong credential None is remembered."""


_UNSEEN: Final = _Unseen()


class Authenticator:
    """Turns a request's credentials into a Principal. Wrong credentials are remembered too, so that a flood of them is cheap."""

    def __init__(self, catalog: Catalog, settings: Settings) -> None:
        self._catalog = catalog
        self._open = not settings.auth
        self._known: TTLCache[bytes, Principal | None] = TTLCache(_REMEMBERED_KEYS, _REMEMBERED_SECONDS)

    async def principal(self, connection: HTTPConnection) -> Principal:
        """The caller; raises Unauthenticated."""
        if self._open:
            return _ANYONE
        scheme, _, presented = connection.headers.get("authorization", "").partition(" ")
        if presented and scheme.lower() == "bearer":
            return await self._look_up(b"key:", presented.strip(), self._by_key)
        token = connection.cookies.get(SESSION_COOKIE)
        if token:
            self.refuse_other_sites(connection)
            return await self._look_up(b"session:", token, self._by_session)
        raise Unauthenticated("The request carries no key.")

    async def verify(self, presented: str) -> Principal:
        """The owner of a key text; raises Unauthenticated."""
        return await self._look_up(b"key:", presented, self._by_key)

    def forget_session(self, token: str) -> None:
        """Forget a session that this process has ended."""
        self._known.pop(_digest(b"session:", token), None)

    def refuse_other_sites(self, connection: HTTPConnection) -> None:
        """Raises Forbidden when the browser's headers say that a page of another site sent the request."""
        if connection.headers.get("sec-fetch-site", "same-origin") not in ("same-origin", "none"):
            raise Forbidden("A page of another site may not use this session.")

    async def _look_up(self, kind: bytes, secret: str, find: Callable[[str], Principal]) -> Principal:
        digest = _digest(kind, secret)
        known = self._known.get(digest, _UNSEEN)  # a single look-up, because the entry may expire between two
        if isinstance(known, _Unseen):
            try:
                known = await to_thread.run_sync(find, secret)
            except Unauthenticated:
                known = None
            self._known[digest] = known
        if known is None:
            raise Unauthenticated("This key or session is wrong, ended or revoked.")
        return known

    def _by_key(self, presented: str) -> Principal:
        with self._catalog.read() as session:
            return keys.verify_key(session, presented)

    def _by_session(self, token: str) -> Principal:
        with self._catalog.read() as session:
            return sessions.session_principal(session, token)


def _digest(kind: bytes, secret: str) -> bytes:
    return hashlib.sha256(kind + secret.encode("utf-8", "surrogateescape")).digest()


def demand(principal: Principal, role: Role) -> Principal:
    """Returns `principal` if it has at least `role`; otherwise raises Forbidden, which names both roles."""
    if not principal.may(role):
        raise Forbidden(f"This needs a key with role {role}; this key has role {principal.role}.")
    return principal


def allowed_collections(principal: Principal, asked: tuple[str, ...] | None) -> tuple[str, ...] | None:
    """The collections that a request may use: those it asked for, or else those of its key; None means all. Raises Forbidden when
    it asked for one that its key may not see."""
    if principal.collections is None:
        return asked
    if asked is None:
        return principal.collections
    refused = sorted(set(asked) - set(principal.collections))
    if refused:
        raise Forbidden(f"This key may not use the collection {refused[0]!r}.")
    return asked
