"""Is the process alive, should it get traffic, what does it count. Not behind keys, and not reachable through the load balancer
except `/healthz` and `/readyz`."""

from __future__ import annotations

from fastapi import APIRouter, HTTPException, Request
from fastapi.responses import JSONResponse, Response
from prometheus_client import REGISTRY
from prometheus_client.exposition import choose_encoder

from app.http.dependencies import ServiceDep
from app.observability.exposition import admitted

router = APIRouter(tags=["health"])


@router.get("/healthz")
async def healthz() -> JSONResponse:
    """The process runs and its event loop turns."""
    return JSONResponse({"status": "ok"})


@router.get("/readyz")
async def readyz(service: ServiceDep) -> JSONResponse:
    """200 while this process should get traffic. A part that is away for everybody is named, but is no reason to get none:
    the routes that need it answer with their own clear error, and the others go on."""
    ready = not service.draining and not service.broken
    status = "ready" if ready and not service.reasons else "degraded" if ready else "draining" if service.draining else "broken"
    body = {"status": status, "release": service.settings.release_id, "color": service.settings.color, "reasons": service.reasons}
    return JSONResponse(body, 200 if ready else 503)


@router.get("/metrics", include_in_schema=False)
async def metrics(request: Request, service: ServiceDep) -> Response:
    """Prometheus text format, or OpenMetrics (with exemplars) where it is asked for; for who asks this process itself, with the token where
    there is one. A load balancer always says for whom it asks; its rule for a path could be written around, this cannot."""
    if "x-forwarded-for" in request.headers or not admitted(request.headers.get("authorization"), service.settings.metrics_token):
        raise HTTPException(404)
    encode, media_type = choose_encoder(request.headers.get("accept", ""))
    return Response(encode(REGISTRY), media_type=media_type)
