"""GET /v1/signals: the current metrics of all processes of this stack, for the page's signals view. For admins only."""

from __future__ import annotations

import asyncio
import time
from typing import Any, Final

import httpx
from anyio import to_thread
from fastapi import APIRouter
from fastapi.responses import JSONResponse
from prometheus_client import generate_latest

from app.http.dependencies import Admin, ServiceDep
from app.observability.exposition import metrics_token_header
from app.observability.signals import live

router = APIRouter(tags=["status"])
_PEER_SECONDS: Final = 1.0  # a process that needs longer counts as silent, which the view shows


@router.get("/v1/signals", include_in_schema=False)
async def signals(service: ServiceDep, _: Admin) -> JSONResponse:
    """Cumulative numbers; the page computes rates from two answers. Without TEAL_METRICS_PEERS
    they are those of this process alone."""
    peers = [address for address in service.settings.metrics_peers.split(",") if address]
    texts = await _ask(peers, metrics_token_header(service.settings.metrics_token)) if peers else [generate_latest().decode()]

    def read() -> dict[str, Any]:
        found = [live.parse_process(text) for text in texts if text is not None]
        who = [{"color": one.color, "release": one.release, "component": one.component} for one in found]
        # A color without a release has no processes, so a silent address is not a fault by itself.
        return {"at": time.time(), "processes": who, "silent": len(texts) - len(found), "dashboards": live.dashboards(found)}

    return JSONResponse(await to_thread.run_sync(read), headers={"Cache-Control": "no-store"})


async def _ask(peers: list[str], headers: dict[str, str]) -> list[str | None]:
    # trust_env off: these are addresses of this machine, which must not go through a proxy.
    async with httpx.AsyncClient(timeout=_PEER_SECONDS, trust_env=False, headers=headers) as client:
        return await asyncio.gather(*(_one(client, address) for address in peers))


async def _one(client: httpx.AsyncClient, address: str) -> str | None:
    try:
        answer = await client.get(address)
    except httpx.HTTPError:
        return None
    return answer.text if answer.status_code == 200 else None
