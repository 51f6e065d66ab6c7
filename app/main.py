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
from starlette.responses import Response

from app import audit, problems, telemetry, tracing
from app.dependencies import Service, open_service
from app.direct import Direct, Shortcut
from app.edge import Edge
from app.routes import ask, documents, health, pages, search, signals
from app.schemas import AskIn, SearchIn
from app.settings import Settings, settings
from app.watch import watch

SHORTCUTS: Final = (Shortcut("/v1/search", SearchIn, search.search), Shortcut("/v1/ask", AskIn, ask.ask))
_DRAIN_SECONDS: Final = 2.0  # the load balancer asks /readyz each second: after two it sends nothing new here
_FINISH_SECONDS: Final = 30  # open requests and streams may finish within this; an answer's p99 is far below

# The edge traces and counts, for the routes too that go around the framework; here it would only be done twice.
_FRAMEWORK: Final[TelemetryConfig] = {"auto_configure": False, "tracing": False, "metrics": False, "logs": False}
_YOUNG_OBJECTS: Final = 20_000  # a search makes over a thousand: the default, 700, looks for garbage in the middle of each

_log = logging.getLogger(__name__)


class Revalidated(StaticFiles):
    """Files a browser asks about each time, so that a new page never runs an old script."""

    def file_response(self, *arguments: Any, **named: Any) -> Response:
        response = super().file_response(*arguments, **named)
        response.headers["Cache-Control"] = "no-cache"
        return response


def create_app(config: Settings) -> FastAPI:
    """The ASGI application. Parts are opened when it starts and closed when it stops."""

    @contextlib.asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        service = open_service(config)
        app.state.service = service
        watcher = asyncio.create_task(watch(service))
        try:
            yield
        finally:
            watcher.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await watcher
            await service.close()

    app = FastAPI(
        title="Teal",
        version=config.release_id,
        summary="Answers questions from your documents, with citations.",
        lifespan=lifespan,
        docs_url=None,  # the stock pages load scripts from another site, which the content security policy forbids
        redoc_url=None,
        telemetry=_FRAMEWORK,
    )
    problems.install(app)
    for part in (search, ask, documents, pages, signals, health):
        app.include_router(part.router)
    app.mount("/static", Revalidated(directory=problems.WEB), name="static")
    return app


class DrainingServer(uvicorn.Server):
    """On SIGTERM first reports itself not ready, so that the load balancer stops sending, and only then stops listening.

    What start-up made is left out of garbage collection: it lives as long as the process, and looking through it took a fifth of a
    search's CPU."""

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
    telemetry.configure(config, f"app-{config.color}-{config.slot}")
    audit.configure(config, f"app-{config.color}-{config.slot}")
    traced = tracing.configure(config, "app")
    app = create_app(config)
    server = DrainingServer(
        uvicorn.Config(
            Edge(
                Direct(app, SHORTCUTS),
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
            timeout_keep_alive=75,  # longer than the load balancer's 60 s, so that it is never the server that closes first
            h11_max_incomplete_event_size=64_000,
        ),
        app.state,
    )
    server.run()
    tracing.stop()


if __name__ == "__main__":
    main()
