"""GET /v1/signals: what all processes of this stack count now, for the page's view of the same name. For admins alone."""

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
_PEER_SECONDS: Final = 1.0  # a process that needs longer is part of what is to be seen: it counts as silent


@router.get("/v1/signals", include_in_schema=False)
async def signals(service: ServiceDep, _: Admin) -> JSONResponse:
    """Cumulative numbers; the page makes rates of two answers. Without TEAL_METRICS_PEERS of this process alone."""
    peers = [address for address in service.settings.metrics_peers.split(",") if address]
    texts = await _ask(peers, metrics_token_header(service.settings.metrics_token)) if peers else [generate_latest().decode()]

    def read() -> dict[str, Any]:
        found = [live.parse_process(text) for text in texts if text is not None]
        who = [{"color": one.color, "release": one.release, "component": one.component} for one in found]
        # A color that is not released has no processes, so an address that is silent is no fault by itself.
        return {"at": time.time(), "processes": who, "silent": len(texts) - len(found), "dashboards": live.dashboards(found)}

    return JSONResponse(await to_thread.run_sync(read), headers={"Cache-Control": "no-store"})


async def _ask(peers: list[str], headers: dict[str, str]) -> list[str | None]:
    # trust_env off: these are this machine's own addresses, for no proxy.
    async with httpx.AsyncClient(timeout=_PEER_SECONDS, trust_env=False, headers=headers) as client:
        return await asyncio.gather(*(_one(client, address) for address in peers))


async def _one(client: httpx.AsyncClient, address: str) -> str | None:
    try:
        answer = await client.get(address)
    except httpx.HTTPError:
        return None
    return answer.text if answer.status_code == 200 else None
