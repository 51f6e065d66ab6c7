"""Who may do what: roles, collections, and a gate that remembers wrong keys too."""

from __future__ import annotations

import pytest
from starlette.requests import HTTPConnection

from app.access.authentication import Authenticator, allowed_collections, demand
from app.catalog import keys
from app.catalog.engine import Catalog
from app.errors import Forbidden, Unauthenticated
from app.settings import Settings

pytestmark = pytest.mark.anyio


def _connection(**headers: str) -> HTTPConnection:
    raw = [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()]
    return HTTPConnection({"type": "http", "headers": raw})


async def test_key_opens_the_gate_until_it_is_revoked(catalog: Catalog) -> None:
    with catalog.write() as session:
        info, key = keys.create_key(session, name="ann", role="writer")
    gate = Authenticator(catalog, Settings())
    assert (await gate.principal(_connection(authorization=f"Bearer {key}"))).role == "writer"
    with catalog.write() as session:
        keys.revoke(session, info.id)
    gate = Authenticator(catalog, Settings())  # remembers nothing yet
    with pytest.raises(Unauthenticated):
        await gate.principal(_connection(authorization=f"Bearer {key}"))


@pytest.mark.parametrize(
    "given", ["", "Bearer", "Basic YTpi", "Bearer teal_nobody_nothing", "Bearer \x7f", "Bearer " + "x" * 5000]
)
async def test_wrong_credentials_are_refused(catalog: Catalog, given: str) -> None:
    with pytest.raises(Unauthenticated):
        await Authenticator(catalog, Settings()).principal(_connection(authorization=given))


async def test_a_flood_of_one_wrong_key_asks_the_catalog_once(catalog: Catalog, monkeypatch: pytest.MonkeyPatch) -> None:
    looks: list[str] = []

    def verify(_: object, presented: str) -> keys.Principal:
        looks.append(presented)
        raise Unauthenticated("no")

    monkeypatch.setattr(keys, "verify_key", verify)
    gate = Authenticator(catalog, Settings())
    for _ in range(50):
        with pytest.raises(Unauthenticated):
            await gate.principal(_connection(authorization="Bearer teal_a_b"))
    assert len(looks) == 1


async def test_another_sites_page_cannot_use_a_session(catalog: Catalog) -> None:
    with pytest.raises(Forbidden):
        await Authenticator(catalog, Settings()).principal(_connection(cookie="teal_session=abc", sec_fetch_site="cross-site"))


@pytest.mark.parametrize(
    ("role", "needed", "passes"),
    [
        ("reader", "reader", True),
        ("reader", "writer", False),
        ("reader", "admin", False),
        ("writer", "reader", True),
        ("writer", "writer", True),
        ("writer", "admin", False),
        ("admin", "reader", True),
        ("admin", "writer", True),
        ("admin", "admin", True),
    ],
)
def test_role_table(role: keys.Role, needed: keys.Role, passes: bool) -> None:
    principal = keys.Principal("id", "name", role, None)
    if passes:
        assert demand(principal, needed) is principal
    else:
        with pytest.raises(Forbidden, match=needed):
            demand(principal, needed)


@pytest.mark.parametrize(
    ("held", "asked", "expected"),
    [
        (None, None, None),
        (None, ("a",), ("a",)),
        (("a", "b"), None, ("a", "b")),
        (("a", "b"), ("b",), ("b",)),
        (("a",), ("a", "c"), Forbidden),
        ((), None, ()),
    ],
)
def test_collection_table(held: tuple[str, ...] | None, asked: tuple[str, ...] | None, expected: object) -> None:
    principal = keys.Principal("id", "name", "reader", held)
    if expected is Forbidden:
        with pytest.raises(Forbidden, match="'c'"):
            allowed_collections(principal, asked)
    else:
        assert allowed_collections(principal, asked) == expected
