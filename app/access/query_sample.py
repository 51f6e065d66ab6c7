"""A small random sample of users' searches and questions, recorded in the catalog so that a release can replay it.

By default no text is kept: only a keyed hash of it, its length, the collections that the query was allowed to find, the mode, and
what it found. With TEAL_QUERY_SAMPLE=texts the request is kept too, encrypted with the same key. A release's probes are never
recorded.

A request costs a random number: the sample of an interval is drawn by reservoir sampling (Vitter's algorithm R), so every query of
the interval is kept with the same probability however many there are, and nothing has to be tuned to the traffic. Hashing,
encrypting and writing happen for a whole interval at once, in a thread.
"""

from __future__ import annotations

import asyncio
import hmac
import json
import logging
import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal

import pyrage
from anyio import to_thread
from pydantic import BaseModel
from starlette.types import Scope

from app.age_key import make_key, parse_key
from app.catalog import query_sample as store
from app.catalog.engine import Catalog
from app.catalog.tables import new_id
from app.errors import TealError
from app.settings import Settings

PROBE_MARK: Final = "teal_probe"  # set in the scope of a request that carries a release's secret
INTERVAL_SECONDS: Final = 30.0  # between two writes of a process: a transaction as rare as this is not noticed
KEPT_EACH_INTERVAL: Final = 3  # 8,640 a day for each busy process, enough that a day of one process has thousands
MOST_REQUEST_BYTES: Final = 20_000  # a question with a long conversation; longer requests are recorded without their text
NOTE: Final = "Without this file the sampled queries can not be read: remove it, and those in old snapshots are lost too."

Kind = Literal["search", "ask"]
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Seen:
    """One query as the route saw it. `collections`: those it was allowed to find, None for all. `answer`: what it got, as bytes
    or as data."""

    kind: Kind
    body: BaseModel
    collections: tuple[str, ...] | None
    answer: bytes | Mapping[str, Any]


class QuerySampler:
    """The sample of one app process. `offer` is called on the event loop for every query; `flush` writes what was kept."""

    def __init__(self, catalog: Catalog, settings: Settings, *, draw: Callable[[], float] = random.random) -> None:
        self._catalog, self._draw = catalog, draw
        self._key_file, self._texts = settings.query_sample_key(), settings.sampled() == "texts"
        self._key: pyrage.x25519.Identity | None = None
        self.off = settings.sampled() == "off"
        self._count = 0
        self._kept: list[Seen] = []

    def offer(
        self,
        scope: Scope,
        kind: Kind,
        body: BaseModel,
        collections: tuple[str, ...] | None,
        answer: bytes | Mapping[str, Any],
    ) -> None:
        """Keep this query, in place of another one, with the probability that all of the interval have."""
        if self.off or PROBE_MARK in scope:
            return
        self._count += 1
        if len(self._kept) < KEPT_EACH_INTERVAL:
            self._kept.append(Seen(kind, body, collections, answer))
        elif (place := int(self._draw() * self._count)) < KEPT_EACH_INTERVAL:
            self._kept[place] = Seen(kind, body, collections, answer)

    async def flush(self) -> None:
        """Write what was kept and begin a new interval. A failure is logged: the sample is worth no request."""
        kept, self._kept, self._count = self._kept, [], 0
        if not kept:
            return
        try:
            await to_thread.run_sync(self._write, kept)
        except (OSError, IndexError, pyrage.IdentityError) as error:
            self.off = True
            _log.warning("no queries are sampled: the key %s cannot be used: %r", self._key_file, error)
        except TealError as error:
            _log.warning("a sample of queries is lost: %s", error.detail)
        except Exception:  # noqa: BLE001 - it must not end the task that calls it
            _log.exception("a sample of queries is lost")

    async def run(self) -> None:
        """Flush at each interval until cancelled."""
        while True:
            await asyncio.sleep(INTERVAL_SECONDS)
            await self.flush()

    def _write(self, kept: list[Seen]) -> None:
        if self._key is None:
            self._key = sample_key(self._key_file)
        key = self._key
        rows = [recorded(one, key, texts=self._texts) for one in kept]
        with self._catalog.write() as session:
            store.add(session, rows)


def sample_key(file: Path) -> pyrage.x25519.Identity:
    """The key of the sample; it is made when there is none. Raises OSError, IndexError or pyrage.IdentityError."""
    if not file.exists():
        make_key(file, NOTE)
    return parse_key(file.read_text(encoding="utf-8-sig"))


def recorded(seen: Seen, key: pyrage.x25519.Identity, *, texts: bool) -> dict[str, Any]:
    """The row of the catalog for one query: without its text, unless `texts`, and then encrypted."""
    asked = seen.body.model_dump(mode="json", exclude_none=True, include=_REPLAYED)
    text = str(asked["query" if seen.kind == "search" else "question"])
    answer = json.loads(seen.answer) if isinstance(seen.answer, bytes) else seen.answer
    request = json.dumps(asked).encode()
    filters = asked.get("filters", {})
    return {
        "id": new_id(),
        "kind": seen.kind,
        "mode": asked.get("mode"),
        "top_k": asked["top_k"],
        "collections": None if seen.collections is None else list(seen.collections),
        "conditions": sorted(name for name, value in filters.items() if value and name != "collections"),
        "text_hash": text_hash(text, key),
        "characters": len(text),
        "hits": len(answer["hits" if seen.kind == "search" else "citations"]),
        "answered": None if seen.kind == "search" else bool(answer["grounded"]),
        "request": pyrage.encrypt(request, [key.to_public()]) if texts and len(request) <= MOST_REQUEST_BYTES else None,
    }


_REPLAYED: Final = {"query", "question", "history", "top_k", "mode", "filters"}  # of a request's fields, what decides its answer


def text_hash(text: str, key: pyrage.x25519.Identity) -> str:
    """A hash that shows which texts are equal, and from which nobody without the key can find out a text by trying."""
    return hmac.digest(str(key).encode(), b"teal sampled query 1\n" + text.encode("utf-8", "surrogatepass"), "sha256").hex()
