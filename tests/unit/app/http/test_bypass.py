"""Probes of a release see the color's own answers: past every cache, and only with the probe's secret."""

from __future__ import annotations

import httpx
import pytest
from fastapi import FastAPI

from app.answering.cache import Cache
from app.http.middleware import RequestMiddleware

pytestmark = pytest.mark.anyio
SECRET = "5" * 48


def _client(secret: str | None) -> httpx.AsyncClient:
    app, cache, made = FastAPI(), Cache(None, prefix="t", local_bytes=10_000, ttl_seconds=60), []

    @app.get("/number")
    async def number() -> str:
        async def compute() -> bytes:
            made.append(1)
            return str(len(made)).encode()

        return (await cache.get_or_compute("search", "k", compute))[0].decode()

    edge = RequestMiddleware(app, max_document_bytes=1_000, laptop=True, probe_secret=secret)
    return httpx.AsyncClient(transport=httpx.ASGITransport(edge), base_url="http://test")


async def _numbers(client: httpx.AsyncClient, *sent: dict[str, str]) -> list[str]:
    return [(await client.get("/number", headers=headers)).json() for headers in sent]


async def test_a_probe_neither_reads_nor_fills_a_cache_and_users_go_on_with_theirs() -> None:
    probe = {"X-Teal-Probe": SECRET, "X-Teal-Bypass-Cache": "1"}
    async with _client(SECRET) as client:
        assert await _numbers(client, {}, {}, probe, probe, {}) == ["1", "1", "2", "3", "1"]


@pytest.mark.parametrize(
    "headers",
    [
        {"X-Teal-Bypass-Cache": "1"},
        {"X-Teal-Bypass-Cache": "1", "X-Teal-Probe": ""},
        {"X-Teal-Bypass-Cache": "1", "X-Teal-Probe": "6" * 48},
        {"X-Teal-Probe": SECRET},
    ],
)
async def test_without_the_secret_or_without_asking_for_it_nothing_is_bypassed(headers: dict[str, str]) -> None:
    async with _client(SECRET) as client:
        assert await _numbers(client, {}, headers) == ["1", "1"]


async def test_a_service_without_a_secret_has_no_bypass() -> None:
    async with _client(None) as client:
        assert await _numbers(client, {}, {"X-Teal-Bypass-Cache": "1", "X-Teal-Probe": ""}) == ["1", "1"]
