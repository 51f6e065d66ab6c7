"""Every answer passes the edge: an id, security headers, a size limit, and words instead of stack traces."""

from __future__ import annotations

import httpx
import pytest
from fastapi import FastAPI, Request

from app.http import problems
from app.http.middleware import RequestMiddleware
from app.http.schemas import SearchIn

pytestmark = pytest.mark.anyio


def _client(*, laptop: bool = True) -> httpx.AsyncClient:
    app = FastAPI()
    problems.install_problem_handlers(app)

    @app.get("/boom")
    async def boom() -> None:
        raise ZeroDivisionError("secret detail")

    @app.post("/v1/documents")
    async def echo(request: Request) -> int:
        return len(await request.body())

    @app.post("/v1/session")
    async def session(request: Request) -> int:
        return len(await request.body())

    @app.post("/v1/documents/form")
    async def form(body: SearchIn) -> None: ...

    edge = RequestMiddleware(app, max_document_bytes=1_000, laptop=laptop)
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
        assert (await client.post("/v1/documents", content=b"x" * 60_000)).json() == 60_000
        assert (await client.post("/v1/documents", content=b"x" * 70_000)).json()["code"] == "too-large"
        assert (await client.post("/v1/documents", content=chunks())).status_code == 413


async def test_a_path_that_no_table_names_takes_little() -> None:
    async with _client() as client:
        answer = await client.post("/v1/session", content=b"x" * 4_097)
        assert (answer.status_code, answer.json()["code"]) == (413, "too-large")
        assert (await client.post("/v1/session", content=b"x" * 4_096)).json() == 4_096


async def test_mistakes_are_told_in_few_words_however_many_there_are() -> None:
    async with _client() as client:
        answer = await client.post("/v1/documents/form", json={"x" * 500 + str(number): 1 for number in range(40)})
    assert answer.status_code == 422
    assert len(answer.json()["errors"]) == 20
    assert "x" * 201 not in answer.text
    assert len(answer.content) < 20 * 500


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
