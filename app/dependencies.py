"""What a running app process holds: opened once at start, closed at the end, reached by routes through `Depends`."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Final

import numpy as np
from anyio import CapacityLimiter, to_thread
from fastapi import Depends, Request
from redis.asyncio import Redis

from app.cache import Cache, open_redis
from app.catalog.engine import Catalog
from app.catalog.keys import Principal
from app.errors import ModelUnavailable
from app.ingest import Jobs
from app.limits import KeyLimiter
from app.models.embed import open_embedder
from app.models.generate import open_generator
from app.models.port import Embedder, Generator
from app.quotas import Quotas
from app.rag.answer import PromptedWriter, Writer
from app.rag.extract import ExtractiveWriter
from app.search import open_reader
from app.search.port import SearchReader, Vector
from app.security import Gate, demand
from app.settings import Settings
from app.tracing import ModelCall

_EMBED_THREADS: Final = 2  # more at once only take the cores from each other

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
    gate: Gate
    jobs: Jobs
    embedder: Embedder | None
    generator: Generator | None
    generation: int = 0
    draining: bool = False
    reasons: dict[str, str] = field(default_factory=dict)
    broken: set[str] = field(default_factory=set)
    _embed_slots: CapacityLimiter = field(default_factory=lambda: CapacityLimiter(_EMBED_THREADS))

    def writer(self) -> Writer:
        """Who writes answers."""
        if self.generator is not None:
            return PromptedWriter(self.generator, deadline_seconds=self.settings.generation_timeout_seconds)
        return ExtractiveWriter(self._embed_with_question if self.embedder else None)

    def scope(self, *parts: str) -> tuple[str, ...]:
        """Cache key parts under which an answer stays true: release, index, its generation and model, then `parts`."""
        model = self.embedder.stamp.digest if self.embedder else "words"
        return (self.settings.release_id, self.settings.search, self.settings.index, str(self.generation), model, *parts)

    async def embed_query(self, text: str) -> Vector:
        """The query's vector, from the cache when any release of the same model has made it."""
        embedder = self._need_embedder()
        key = self.cache.key("embedding", embedder.stamp.digest, text)

        async def compute() -> bytes:
            with ModelCall("embeddings", self.settings.embedding, embedder.stamp.model):
                return (await to_thread.run_sync(embedder.query, text, limiter=self._embed_slots)).tobytes()

        value, _ = await self.cache.get_or_compute("embedding", key, compute)
        return np.frombuffer(value, dtype=np.float32)

    async def _embed_with_question(self, question: str, texts: Sequence[str]) -> list[Vector]:
        embedder = self._need_embedder()
        vectors = await to_thread.run_sync(embedder.passages, texts, limiter=self._embed_slots)
        return [await self.embed_query(question), *vectors]

    def _need_embedder(self) -> Embedder:
        if self.embedder is None:
            raise ModelUnavailable("No embedding model is loaded; `teal doctor` says how to get it.")
        return self.embedder

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
    catalog = Catalog(settings.sqlalchemy_url())
    return Service(
        settings=settings,
        catalog=catalog,
        reader=open_reader(settings),
        redis=redis,
        cache=Cache(redis, prefix="teal", local_bytes=settings.cache_bytes, ttl_seconds=settings.cache_seconds),
        limiter=KeyLimiter(redis_url, per_second=settings.rate_limit_per_second),
        quotas=Quotas(catalog),
        gate=Gate(catalog, settings),
        jobs=Jobs(settings),
        embedder=open_embedder(settings),
        generator=open_generator(settings),
    )


async def service_of(request: Request) -> Service:
    """The process's service. Async, or the framework would ask a thread for it."""
    service: Service = request.app.state.service
    return service


Parts = Annotated[Service, Depends(service_of)]


async def caller(request: Request, service: Parts) -> Principal:
    """The authenticated caller, within its limits."""
    principal = await service.gate.principal(request)
    request.state.principal = principal  # a refusal is written down with who was refused
    await service.limiter.admit(principal.key_id)
    await service.quotas.admit(principal, "requests")
    return principal


async def reader_role(principal: Annotated[Principal, Depends(caller)]) -> Principal:
    return demand(principal, "reader")


async def writer_role(principal: Annotated[Principal, Depends(caller)]) -> Principal:
    return demand(principal, "writer")


Reader = Annotated[Principal, Depends(reader_role)]
Writing = Annotated[Principal, Depends(writer_role)]
