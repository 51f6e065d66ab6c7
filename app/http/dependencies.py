"""What a running app process holds: opened once at start, closed at the end, reached by routes through `Depends`."""

from __future__ import annotations

import contextlib
import logging
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

from fastapi import Depends, Request
from redis.asyncio import Redis

from app.access import audit
from app.access.authentication import Authenticator, demand
from app.access.quotas import Quotas
from app.access.rate_limit import KeyLimiter
from app.answering.cache import Cache
from app.answering.catalog_view import CatalogView
from app.answering.service import AnswerService
from app.catalog.engine import Catalog
from app.catalog.keys import Principal, Role
from app.errors import ModelUnavailable
from app.http.unknown import refuse_unknown
from app.ingestion.job_queue import Jobs
from app.models.cross_encoder import open_cross_encoder
from app.models.embed import open_embedder, stamp
from app.models.generate import open_generator
from app.models.port import Embedder, Generator
from app.redis_client import open_redis
from app.search.engines import open_reader
from app.search.port import SearchReader
from app.settings import Settings

_log = logging.getLogger(__name__)


@dataclass
class Service:
    """The parts behind the routes. `reasons` says what is wrong now, by part; `broken` are the parts that stop this process."""

    settings: Settings
    catalog: Catalog
    reader: SearchReader
    redis: Redis | None
    cache: Cache
    limiter: KeyLimiter
    quotas: Quotas
    authenticator: Authenticator
    jobs: Jobs
    answering: AnswerService
    generator: Generator | None
    draining: bool = False
    reasons: dict[str, str] = field(default_factory=dict)
    broken: set[str] = field(default_factory=set)

    async def close(self) -> None:
        """Close every part; one that fails does not keep the others open."""
        async with contextlib.AsyncExitStack() as stack:
            stack.callback(self.catalog.close)
            stack.callback(self.jobs.close)
            stack.push_async_callback(self.reader.close)
            if self.redis is not None:
                stack.push_async_callback(self.redis.aclose)
            if self.generator is not None:
                stack.push_async_callback(self.generator.close)


def open_service(settings: Settings) -> Service:
    """Open every part. Parts that are away now are reported by /readyz and used when they return."""
    if settings.search == "embedded" or settings.database_url is None:
        Path(settings.state_dir).mkdir(parents=True, exist_ok=True)
    redis_url = settings.redis_url.get_secret_value() if settings.redis_url else None
    redis = open_redis(redis_url) if redis_url else None
    catalog, reader = Catalog(settings.sqlalchemy_url()), open_reader(settings)
    cache = Cache(redis, prefix="teal", local_bytes=settings.cache_bytes, ttl_seconds=settings.cache_seconds)
    embedder, generator = _whole_embedder(settings), open_generator(settings)
    return Service(
        settings=settings,
        catalog=catalog,
        reader=reader,
        redis=redis,
        cache=cache,
        limiter=KeyLimiter(redis_url, per_second=settings.rate_limit_per_second),
        quotas=Quotas(catalog),
        authenticator=Authenticator(catalog, settings),
        jobs=Jobs(settings),
        answering=AnswerService(
            settings,
            reader,
            cache,
            embedder,
            generator,
            CatalogView(catalog, settings.index),
            cross_encoder=open_cross_encoder(settings),
        ),
        generator=generator,
    )


def _whole_embedder(settings: Settings) -> Embedder | None:
    """The configured embedder; None when its files are missing or damaged, and then words alone search and /readyz says why."""
    try:
        return open_embedder(settings)
    except ModelUnavailable as error:
        stamp(settings)  # raises again for a model that nobody knows: that is a mistake in the settings, not a damaged file
        _log.warning("searching by words alone: %s", error.detail)
        return None


async def service_of(request: Request) -> Service:
    """The process's service. Async, or the framework would ask a thread for it."""
    service: Service = request.app.state.service
    return service


ServiceDep = Annotated[Service, Depends(service_of)]  # a route asks for the service by this type


async def caller(request: Request, service: ServiceDep) -> Principal:
    """The authenticated caller, within its limits. A request is counted once, however often this is asked about it."""
    principal: Principal | None = getattr(request.state, "admitted", None)
    if principal is None:
        principal = await service.authenticator.principal(request)
        request.state.principal = principal  # a refusal is written down with who was refused
        await service.limiter.admit(principal.key_id)
        await service.quotas.admit(principal, "requests")
        request.state.admitted = principal
    await refuse_unknown(request)
    await service.answering.view.current()  # whatever the route shows is true as of now, also what it takes from a cache
    return principal


async def signing(request: Request, service: ServiceDep) -> None:
    """Let a sign-in or a sign-out pass: from the page's own site, and within the limit of its address. Counted once for each request."""
    if getattr(request.state, "signing", False):
        return
    service.authenticator.refuse_other_sites(request)
    await service.limiter.admit(f"sign-in {audit.client_address(request)}")
    request.state.signing = True


class RequireRole:
    """The dependency of a route that a key with at least this role may use; the fast path reads the role from it."""

    def __init__(self, role: Role) -> None:
        self.role = role

    async def __call__(self, principal: Annotated[Principal, Depends(caller)]) -> Principal:
        return demand(principal, self.role)


Reader = Annotated[Principal, Depends(RequireRole("reader"))]
Writing = Annotated[Principal, Depends(RequireRole("writer"))]
Admin = Annotated[Principal, Depends(RequireRole("admin"))]
