"""Who asks, how often and in which role is settled before a byte of the body is read."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest

from app.catalog.keys import Role, create_key
from app.http.dependencies import Service, open_service
from app.http.fast_path import FastPath, role_rules
from app.http.middleware import RequestMiddleware
from app.main import FAST_ROUTES, ROUTERS, create_app
from app.settings import Settings
from tests.services.migrated import migrated

pytestmark = pytest.mark.anyio
PER_SECOND = 5


@pytest.fixture
def service(tmp_path: Path) -> Service:
    config = Settings(state_dir=tmp_path, embedding="none", rate_limit_per_second=PER_SECOND)
    migrated(config.sqlalchemy_url())
    return open_service(config)


@pytest.fixture
async def client(service: Service) -> AsyncIterator[httpx.AsyncClient]:
    app = create_app(service.settings)
    app.state.service = service
    edge = RequestMiddleware(FastPath(app, FAST_ROUTES, role_rules(ROUTERS)), max_document_bytes=1_000_000, laptop=True)
    async with httpx.AsyncClient(transport=httpx.ASGITransport(edge), base_url="http://test") as made:
        yield made
    await service.close()


def key(service: Service, role: Role) -> dict[str, str]:
    with service.catalog.write() as session:
        _, text = create_key(session, name="n", role=role)
    return {"authorization": f"Bearer {text}", "content-type": "application/json"}


class Body:
    """A body that says whether anybody began to read it."""

    def __init__(self) -> None:
        self.read = False

    async def __aiter__(self) -> AsyncIterator[bytes]:
        self.read = True
        yield b'{"title": "t", "text": "w"}'


@pytest.mark.parametrize(
    ("path", "role", "status"), [("/v1/documents", "reader", 403), ("/v1/documents", None, 401), ("/v1/new", None, 401)]
)
async def test_the_body_of_who_may_not_is_not_read(
    service: Service, client: httpx.AsyncClient, path: str, role: Role | None, status: int
) -> None:
    body = Body()
    answer = await client.post(path, content=body, headers=key(service, role) if role else {"content-type": "application/json"})
    assert (answer.status_code, body.read) == (status, False)


async def test_the_body_of_who_asks_too_often_is_not_read(service: Service, client: httpx.AsyncClient) -> None:
    for path, headers in (("/v1/search", key(service, "reader")), ("/v1/session", {"content-type": "application/json"})):
        found = []
        for _ in range(3 * PER_SECOND):
            body = Body()
            answer = await client.post(path, content=body, headers=headers)
            found.append((answer.status_code, body.read))
        assert (429, False) in found
        assert (429, True) not in found
        assert (422, True) in found


async def test_a_request_is_counted_once(service: Service, client: httpx.AsyncClient) -> None:
    headers = key(service, "writer")
    admitted = list[str]()
    admit = service.limiter.admit

    async def counted(key_id: str) -> None:
        admitted.append(key_id)
        await admit(key_id)

    service.limiter.admit = counted  # type: ignore[method-assign]
    for content in (b"{", b'{"query": "x"}', b'{"query": 1}'):
        await client.post("/v1/search", content=content, headers=headers)
    assert len(admitted) == 3
    await client.post("/v1/session", json={"key": "teal_0"})
    assert len(admitted) == 4


async def test_a_body_of_many_values_is_a_problem_and_not_a_list_of_its_mistakes(
    service: Service, client: httpx.AsyncClient
) -> None:
    content = b"{" + b",".join(b'"%05x":0' % number for number in range(20_000)) + b"}"
    answer = await client.post("/v1/search", content=content, headers=key(service, "reader"))
    assert (answer.status_code, answer.json()["code"]) == (422, "invalid-request")
    assert len(answer.content) < 1_000
