"""A task in every app process that keeps it truthful: the index generation, late models, and which parts answer."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from typing import Final

from anyio import to_thread
from redis.exceptions import RedisError

from app.catalog.index_state import generation
from app.catalog.keys import KeyInfo, list_keys
from app.catalog.tables import now
from app.dependencies import Service
from app.errors import IndexMismatch, TealError
from app.models.embed import open_embedder
from app.telemetry import CACHE_BYTES, KEY_ENDS, LOOP_LAG, UP

_TICK_SECONDS: Final = 0.25  # the longest a changed index can be answered from the cache
_TICKS_PER_PROBE: Final = 8  # parts are asked every 2 s: half of what a person waits before looking at the status
_TICKS_PER_MODEL_LOOK: Final = 40  # 10 s
_TICKS_PER_KEY_LOOK: Final = 240  # a minute: keys end by the day
_PROBE_SECONDS: Final = 2.0
_KEYS_SHOWN: Final = 50  # label values of one metric

_log = logging.getLogger(__name__)


async def watch(service: Service) -> None:
    """Run until cancelled; a failing look is recorded, never raised."""
    tick = 0
    while True:
        await _note(service, "catalog", lambda: _follow_generation(service))
        if tick % _TICKS_PER_PROBE == 0:
            await asyncio.gather(
                _note(service, "search", lambda: _probe_search(service)), _note(service, "redis", lambda: _probe_redis(service))
            )
        if tick % _TICKS_PER_MODEL_LOOK == 0 and service.embedder is None:
            await _note(service, "model", lambda: _look_for_model(service))
        if tick % _TICKS_PER_KEY_LOOK == 0:
            await _show_ending_keys(service)
        tick += 1
        CACHE_BYTES.set(service.cache.local_bytes)
        asleep = time.perf_counter()
        await asyncio.sleep(_TICK_SECONDS)
        LOOP_LAG.observe(max(0.0, time.perf_counter() - asleep - _TICK_SECONDS))


async def _note(service: Service, part: str, look: Callable[[], Awaitable[str | None]]) -> None:
    """Do one look and keep what it found; changes are logged once."""
    before = service.reasons.get(part)
    broken = False
    try:
        async with asyncio.timeout(_PROBE_SECONDS):
            reason = await look()
    except IndexMismatch as error:
        reason = error.detail
        broken = True
    except TealError as error:
        reason = error.detail
    except (RedisError, OSError, TimeoutError) as error:
        reason = f"{part} does not answer: {error!r}"
    except Exception as error:  # noqa: BLE001 - a look that fails must not end the watching
        reason = f"{part} failed unexpectedly: {error!r}"
        if reason != before:
            _log.exception("looking at %s failed", part)
    (service.broken.add if broken else service.broken.discard)(part)  # not before the look has ended: it is still true meanwhile
    if reason is None:
        service.reasons.pop(part, None)
    else:
        service.reasons[part] = reason
    UP.labels(part).set(reason is None)
    if reason != before:
        _log.warning("%s: %s", part, reason or "answers again")


async def _follow_generation(service: Service) -> None:
    def read() -> int:
        with service.catalog.read() as session:
            return generation(session)

    service.generation = await to_thread.run_sync(read)


async def _show_ending_keys(service: Service) -> None:
    """The metric names the keys that end soon, and forgets the others."""

    def read() -> list[KeyInfo]:
        with service.catalog.read() as session:
            return list_keys(session)

    moment = now()
    try:
        ending = [info for info in await to_thread.run_sync(read) if info.ends_soon(moment)]
    except TealError:  # the catalog's own look says that it is away
        return
    except Exception:  # noqa: BLE001 - as above
        _log.exception("looking for keys that end soon failed")
        return
    KEY_ENDS.clear()
    for info in ending[:_KEYS_SHOWN]:
        if info.expires_at is not None:
            KEY_ENDS.labels(info.id).set(info.expires_at.timestamp())


async def _probe_search(service: Service) -> None:
    await service.reader.status()


async def _probe_redis(service: Service) -> str | None:
    if service.redis is None:
        return None
    await service.redis.ping()
    return None


async def _look_for_model(service: Service) -> str | None:
    if service.settings.embedding == "none":
        return None
    service.embedder = await to_thread.run_sync(open_embedder, service.settings)
    if service.embedder is None:
        return f"model {service.settings.embedding_model} is not in {service.settings.model_dir}: searching by words alone"
    return None
