"""Every answer passes the edge: an id, security headers, a size limit, and words instead of stack traces."""

from __future__ import annotations

import httpx
import pytest
from fastapi import FastAPI, Request

from app import problems
from app.edge import Edge

pytestmark = pytest.mark.anyio


def _client(*, laptop: bool = True) -> httpx.AsyncClient:
    app = FastAPI()
    problems.install(app)

    @app.get("/boom")
    async def boom() -> None:
        raise ZeroDivisionError("secret detail")

    @app.post("/echo")
    async def echo(request: Request) -> int:
        return len(await request.body())

    edge = Edge(app, max_document_bytes=1_000, laptop=laptop)
    return httpx.AsyncClient(transport=httpx.ASGITransport(edge, raise_app_exceptions=False), base_url="http://test")


async def test_unexpected_failure_is_a_problem_with_the_id_and_nothing_of_its_cause() -> None:
    async with _client() as client:
        answer = await client.get("/boom", headers={"X-Request-Id": "abcdefgh-1234"})
    assert answer.status_code == 500
    assert answer.json()["request_id"] == answer.headers["x-request-id"] == "abcdefgh-1234"
    assert "secret" not in answer.text
    assert answer.headers["x-content-type-options"] == "nosniff"


@pytest.mark.parametrize("given", ["", "short", "x" * 65, "with space", "új-azonosító"])
async def test_an_id_that_could_harm_a_log_is_replaced(given: str) -> None:
    async with _client() as client:
        answer = await client.get("/nothing", headers={"X-Request-Id": given.encode()})
    assert answer.headers["x-request-id"] != given
    assert len(answer.headers["x-request-id"]) == 32


async def test_size_is_limited_whether_declared_or_not() -> None:
    async def chunks():  # type: ignore[no-untyped-def]
        for _ in range(100):
            yield b"x" * 1_000

    async with _client() as client:
        assert (await client.post("/echo", content=b"x" * 60_000)).json() == 60_000
        assert (await client.post("/echo", content=b"x" * 70_000)).json()["code"] == "too-large"
        assert (await client.post("/echo", content=chunks())).status_code == 413


@pytest.mark.parametrize(("laptop", "present"), [(True, False), (False, True)])
async def test_https_is_pinned_everywhere_but_on_localhost(laptop: bool, present: bool) -> None:
    async with _client(laptop=laptop) as client:
        assert ("strict-transport-security" in (await client.get("/nothing")).headers) is present


async def test_every_problem_says_what_to_do() -> None:
    from app.errors import PROBLEMS

    for problem in PROBLEMS.values():
        assert problem.title
        assert problem.action.endswith((".", "!"))
        assert 400 <= problem.status < 600
