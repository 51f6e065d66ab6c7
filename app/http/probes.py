"""Probes: a task in every app process that checks whether the parts behind it answer, reads the index
generation, and looks for a missing model."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from typing import Final

from anyio import to_thread
from redis.exceptions import RedisError

from app.catalog.keys import KeyInfo, list_keys
from app.catalog.tables import now
from app.errors import IndexMismatch, TealError
from app.http.dependencies import Service
from app.models.embed import open_embedder
from app.observability.metrics import CACHE_BYTES, KEY_ENDS, LOOP_LAG, UP

# The time between two looks at the catalog: half of the time for which a look is trusted (app/answering/catalog_view.py).
_TICK_SECONDS: Final = 0.25
_TICKS_PER_PROBE: Final = 8  # parts are probed every 2 s: half of the time that a person waits before looking at the status
_TICKS_PER_MODEL_PROBE: Final = 40  # 10 s
_TICKS_PER_KEY_PROBE: Final = 240  # a minute, which is enough because keys expire after days
_PROBE_SECONDS: Final = 2.0
_KEYS_SHOWN: Final = 50  # the most label values of the metric

_log = logging.getLogger(__name__)


async def run_probes(service: Service) -> None:
    """Run until cancelled; a probe that fails is recorded, never raised."""
    tick = 0
    while True:
        await note_probe(service, "catalog", lambda: _look(service))
        if tick % _TICKS_PER_PROBE == 0:
            await asyncio.gather(
                note_probe(service, "search", lambda: _probe_search(service)),
                note_probe(service, "redis", lambda: _probe_redis(service)),
            )
        if tick % _TICKS_PER_MODEL_PROBE == 0 and service.answering.embedder is None:
            await note_probe(service, "model", lambda: _look_for_model(service))
        if tick % _TICKS_PER_KEY_PROBE == 0:
            await show_ending_keys(service)
        tick += 1
        CACHE_BYTES.set(service.cache.local_bytes)
        asleep = time.perf_counter()
        await asyncio.sleep(_TICK_SECONDS)
        LOOP_LAG.observe(max(0.0, time.perf_counter() - asleep - _TICK_SECONDS))


async def note_probe(service: Service, part: str, look: Callable[[], Awaitable[str | None]]) -> None:
    """Run one probe and keep its result for /readyz and the metrics; a changed result is logged once."""
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
    except Exception as error:  # noqa: BLE001 - a probe that fails must not end the others
        reason = f"{part} failed unexpectedly: {error!r}"
        if reason != before:
            _log.exception("the probe of %s failed", part)
    (service.broken.add if broken else service.broken.discard)(part)  # until a probe has ended its last result stands
    if reason is None:
        service.reasons.pop(part, None)
    else:
        service.reasons[part] = reason
    UP.labels(part).set(reason is None)
    if reason != before:
        _log.warning("%s: %s", part, reason or "answers again")


async def _look(service: Service) -> None:
    await service.answering.view.look()


async def show_ending_keys(service: Service) -> None:
    """Update the metric of the keys that expire soon, and remove the other keys from it."""

    def read() -> list[KeyInfo]:
        with service.catalog.read() as session:
            return list_keys(session)

    moment = now()
    try:
        ending = [info for info in await to_thread.run_sync(read) if info.ends_soon(moment)]
    except TealError:  # the catalog's own probe reports that it is away
        return
    except Exception:  # noqa: BLE001 - a probe that fails must not end the others
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
    service.answering.embedder = await to_thread.run_sync(open_embedder, service.settings)
    if service.answering.embedder is None:
        return f"model {service.settings.embedding_model} is not in {service.settings.model_dir}: searching by words alone"
    return None
