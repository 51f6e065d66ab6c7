"""Liveness, readiness and metrics of the process. These routes need no API key; through the load balancer only
`/healthz` and `/readyz` are reachable."""

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
    """200 while this process should get traffic. A part that is away for all processes is reported but does not make this process
    unready: routes that need the part answer with their own clear error, and the others work."""
    ready = not service.draining and not service.broken
    status = "ready" if ready and not service.reasons else "degraded" if ready else "draining" if service.draining else "broken"
    body = {"status": status, "release": service.settings.release_id, "color": service.settings.color, "reasons": service.reasons}
    return JSONResponse(body, 200 if ready else 503)


@router.get("/metrics", include_in_schema=False)
async def metrics(request: Request, service: ServiceDep) -> Response:
    """Metrics in Prometheus's text format, or in OpenMetrics with exemplars when the client accepts it. Answered only to clients
    that connect directly to this process, with the token if one is set: a load balancer always adds a forwarding header. A path
    rule in the load balancer could be bypassed, this check cannot."""
    if "x-forwarded-for" in request.headers or not admitted(request.headers.get("authorization"), service.settings.metrics_token):
        raise HTTPException(404)
    encode, media_type = choose_encoder(request.headers.get("accept", ""))
    return Response(encode(REGISTRY), media_type=media_type)
