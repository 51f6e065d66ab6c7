"""The app process: `python -m app.main --port 8101`."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import gc
import logging
import socket
from collections.abc import AsyncIterator
from types import FrameType
from typing import Any, Final

import uvicorn
from fastapi import FastAPI
from fastapi.staticfiles import StaticFiles
from fastapi.telemetry import TelemetryConfig
from starlette.datastructures import State
from starlette.middleware.cors import CORSMiddleware
from starlette.responses import Response
from starlette.types import ASGIApp

from app.access import audit
from app.http import problems
from app.http.dependencies import Service, open_service
from app.http.fast_path import FastPath, fast_route, role_rules
from app.http.middleware import RequestMiddleware
from app.http.probes import run_probes
from app.http.routes import ask, chat, documents, health, pages, search, signals
from app.observability import logging as logs
from app.observability import metrics, tracing
from app.settings import Settings, settings
from contract.http import KEEP_ALIVE_SECONDS

# The framework tries them in this order. Health first, because load balancers ask it every second.
ROUTERS: Final = tuple(part.router for part in (health, search, ask, chat, documents, pages, signals))
FAST_ROUTES: Final = (fast_route(search.router, search.search), fast_route(ask.router, ask.ask))
_DRAIN_SECONDS: Final = 2.0  # the load balancer asks /readyz each second: after two it sends nothing new here
_FINISH_SECONDS: Final = 30  # open requests and streams may finish within this; an answer's p99 is far below

# The middleware traces and counts every request, those of the fast path included; the framework would count most of them a second time.
_FRAMEWORK: Final[TelemetryConfig] = {"auto_configure": False, "tracing": False, "metrics": False, "logs": False}
# Limits of an upload form, which has one file and the fields collection, title, source and metadata (50,000 characters of four
# bytes). The framework's own limits, a thousand files and fields of a megabyte each, would let one connection keep 20 MB in
# memory. One field more than the form has is let through here, so that the route can name it when it refuses it.
_FIELDS: Final = 5
_FIELD_BYTES: Final = 200_000
# How many new objects start a garbage collection: a search makes over 1,000, so with Python's default of 700 each search would
# start one.
_YOUNG_OBJECTS: Final = 20_000

_log = logging.getLogger(__name__)


class Revalidated(StaticFiles):
    """Static files that a browser must revalidate at each use, so that a new page never runs an old script."""

    def file_response(self, *arguments: Any, **named: Any) -> Response:
        response = super().file_response(*arguments, **named)
        response.headers["Cache-Control"] = "no-cache"
        return response


def create_app(config: Settings) -> FastAPI:
    """The ASGI application. The service's parts are opened when it starts and closed when it stops."""

    @contextlib.asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        service = open_service(config)
        app.state.service = service
        tasks = [asyncio.create_task(run_probes(service)), asyncio.create_task(service.query_sampler.run())]
        try:
            yield
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            await service.query_sampler.flush()
            await service.close()

    app = FastAPI(
        title="Teal",
        version=config.release_id,
        summary="Answers questions from your documents, with citations.",
        lifespan=lifespan,
        form_limits={"max_files": 1, "max_fields": _FIELDS, "max_part_size": _FIELD_BYTES},
        docs_url=None,  # the stock pages load scripts from another site, which the content security policy forbids
        redoc_url=None,
        telemetry=_FRAMEWORK,
    )
    problems.install_problem_handlers(app)
    for router in ROUTERS:
        app.include_router(router)
    app.mount("/static", Revalidated(directory=problems.WEB), name="static")
    return app


def cross_origin(app: ASGIApp, config: Settings) -> ASGIApp:
    """Let pages of the sites in TEAL_CORS_ORIGINS call the API with a key of their own. Cookies are neither sent to these sites
    nor accepted from them."""
    origins = [origin.strip() for origin in config.cors_origins.split(",") if origin.strip()]
    if not origins:
        return app
    return CORSMiddleware(
        app,
        allow_origins=origins,
        allow_methods=["GET", "POST", "PUT", "DELETE"],
        allow_headers=["Authorization", "Content-Type", "Idempotency-Key", "X-Request-ID"],
        expose_headers=["Retry-After", "X-Cache", "X-Request-ID"],
    )


class DrainingServer(uvicorn.Server):
    """Drains on SIGTERM: it first reports itself not ready, so that the load balancer stops sending, and only then stops listening.

    Objects made at start-up live as long as the process and are excluded from garbage collection: scanning them took a fifth of a
    search's CPU time."""

    def __init__(self, config: uvicorn.Config, state: State) -> None:
        super().__init__(config)
        self._state = state

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        gc.collect()
        gc.freeze()
        gc.set_threshold(_YOUNG_OBJECTS, 10, 10)

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        service: Service | None = getattr(self._state, "service", None)
        if service is None or service.draining:
            super().handle_exit(sig, frame)
            return
        service.draining = True
        _log.warning("draining: not ready from now on, closing in %s s", _DRAIN_SECONDS)
        loop = asyncio.get_running_loop()
        loop.call_soon_threadsafe(loop.call_later, _DRAIN_SECONDS, super().handle_exit, sig, frame)


def main() -> None:
    """Serve until SIGTERM, then drain."""
    parser = argparse.ArgumentParser(prog="python -m app.main", description=__doc__)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=8101)
    parser.add_argument("--uds", help="Unix socket instead of a port.")
    options = parser.parse_args()
    config = settings()
    if not config.auth and config.environment in ("staging", "prod"):
        parser.error(f"TEAL_AUTH=false is refused in {config.environment}: unset it, and make keys with `teal keys create`.")
    logs.configure_logging(config, f"app-{config.color}-{config.slot}")
    metrics.configure_metrics(config)
    audit.configure_audit(config, f"app-{config.color}-{config.slot}")
    traced = tracing.configure_tracing(config, "app")
    app = create_app(config)
    server = DrainingServer(
        uvicorn.Config(
            RequestMiddleware(
                cross_origin(FastPath(app, FAST_ROUTES, role_rules(ROUTERS)), config),
                max_document_bytes=config.max_document_bytes,
                laptop=config.environment == "laptop",
                probe_secret=config.probe_secret.get_secret_value() if config.probe_secret else None,
                traced=traced,
            ),
            host=options.host,
            port=options.port,
            uds=options.uds,
            log_config=None,
            access_log=False,
            server_header=False,
            timeout_graceful_shutdown=_FINISH_SECONDS,
            timeout_keep_alive=KEEP_ALIVE_SECONDS,
            h11_max_incomplete_event_size=64_000,
        ),
        app.state,
    )
    server.run()
    tracing.flush_traces()


if __name__ == "__main__":
    main()
