"""The parts of a running app process: opened once at the start, closed at the end, and injected into routes by `Depends`."""

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
from app.access.query_sample import QuerySampler
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
    """The parts behind the routes. `reasons`: what is wrong now, by part. `broken`: parts
    whose fault makes this process not ready."""

    settings: Settings
    catalog: Catalog
    reader: SearchReader
    redis: Redis | None
    cache: Cache
    limiter: KeyLimiter
    quotas: Quotas
    authenticator: Authenticator
    query_sampler: QuerySampler
    jobs: Jobs
    answering: AnswerService
    generator: Generator | None
    draining: bool = False
    reasons: dict[str, str] = field(default_factory=dict)
    broken: set[str] = field(default_factory=set)

    async def close(self) -> None:
        """Close every part, even when closing one of them fails."""
        async with contextlib.AsyncExitStack() as stack:
            stack.callback(self.catalog.close)
            stack.callback(self.jobs.close)
            stack.push_async_callback(self.reader.close)
            if self.redis is not None:
                stack.push_async_callback(self.redis.aclose)
            stack.push_async_callback(self.cache.close)
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
        query_sampler=QuerySampler(catalog, settings),
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
    """The configured embedder; None when its files are missing or damaged: then search is by
    words alone, and /readyz gives the reason."""
    try:
        return open_embedder(settings)
    except ModelUnavailable as error:
        stamp(settings)  # raises again for an unknown model, which is a mistake in the settings and not a damaged file
        _log.warning("searching by words alone: %s", error.detail)
        return None


async def service_of(request: Request) -> Service:
    """The process's service. Async, because the framework would run a sync dependency in a thread."""
    service: Service = request.app.state.service
    return service


ServiceDep = Annotated[Service, Depends(service_of)]  # the parameter type with which a route gets the service


async def admit(request: Request, service: Service) -> Principal:
    """Authenticate the caller, count the request and apply the caller's rate limit and quota."""
    principal = await service.authenticator.principal(request)
    state = request.state
    state.principal = principal  # so that the audit log can say who was refused
    await service.limiter.admit(principal.key_id)
    await service.quotas.admit(principal, "requests")
    state.admitted = principal
    return principal


async def caller(request: Request, service: ServiceDep) -> Principal:
    """The caller, admitted here unless the fast path has done it: each request is counted once."""
    principal: Principal = getattr(request.state, "admitted", None) or await admit(request, service)
    await refuse_unknown(request)
    await service.answering.view.current()  # so that the route's answer is current, even from a cache
    return principal


async def signing(request: Request, service: ServiceDep) -> None:
    """Allow a sign-in or sign-out only from the page's own site and within the rate limit of the client's
    address. Each request is counted once."""
    if getattr(request.state, "signing", False):
        return
    service.authenticator.refuse_other_sites(request)
    await service.limiter.admit(f"sign-in {audit.client_address(request)}")
    request.state.signing = True


class RequireRole:
    """A dependency that requires a key with at least this role; the fast path reads the role from it."""

    def __init__(self, role: Role) -> None:
        self.role = role

    async def __call__(self, principal: Annotated[Principal, Depends(caller)]) -> Principal:
        return demand(principal, self.role)


Reader = Annotated[Principal, Depends(RequireRole("reader"))]
Writing = Annotated[Principal, Depends(RequireRole("writer"))]
Admin = Annotated[Principal, Depends(RequireRole("admin"))]
