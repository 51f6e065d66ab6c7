"""This process's view of the catalog's deletions, so that no search and no cached answer shows a deleted document.

Searches do not query the catalog. Instead a process looks at the catalog a few times a second and trusts the result for
VIEW_SECONDS; a request that finds an older view looks first. A deletion waits for the same time before it answers. By
then every process of both colors has looked after the deletion. Only durations by each process's own clock are
compared, so the machines' clocks need not agree.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable, Set
from typing import Final

from anyio import to_thread

from app.catalog import visibility
from app.catalog.engine import Catalog
from app.catalog.visibility import Visibility

# How long a look is trusted and a deletion waits: twice the pause between two looks, so that
# requests seldom have to look themselves.
VIEW_SECONDS: Final = 0.5
# A margin for clocks that run at different speeds (a few parts in a hundred thousand) and for timers that fire slightly early.
_DRIFT: Final = 1.02


class CatalogView:
    """The index generation and the deleted documents as of the last look. Not thread-safe: to be used by the event loop only."""

    def __init__(self, catalog: Catalog, index: str, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._catalog, self._index, self._clock = catalog, index, clock
        self._seen = Visibility(0, frozenset(), complete=False)
        self._looked_at = float("-inf")
        self._looking: asyncio.Task[None] | None = None

    @property
    def generation(self) -> int:
        """The index's generation; part of every cache key."""
        return self._seen.generation

    async def current(self) -> None:
        """Return at once if the last look is recent enough, otherwise after a new one. Raises `CatalogUnavailable`."""
        # Fixed at this moment, so that a look that takes longer than VIEW_SECONDS is not repeated for ever.
        oldest = self._clock() - VIEW_SECONDS
        while self._looked_at <= oldest:
            await self.look()

    async def look(self) -> None:
        """Look now, or wait for the look that is under way. Raises `CatalogUnavailable`."""
        # Waiting for a task that has ended gives the event loop no turn: `current` would ask again for ever.
        if self._looking is None or self._looking.done():
            self._looking = asyncio.ensure_future(self._look())
            self._looking.add_done_callback(_retrieve_error)
        await asyncio.shield(self._looking)

    async def deleted(self, document_ids: Iterable[str]) -> Set[str]:
        """The ones of these documents that are deleted; not iterated when none at all is. Queries the catalog only while there
        are very many recent deletions, or while the index has outbox entries."""
        await self.current()
        if self._seen.complete:
            return self._seen.deleted.intersection(document_ids) if self._seen.deleted else frozenset()
        asked = set(document_ids)

        def ask() -> set[str]:
            with self._catalog.read() as session:
                return visibility.deleted_among(session, asked)

        return await to_thread.run_sync(ask)

    async def _look(self) -> None:
        def look() -> Visibility:
            with self._catalog.read() as session:
                return visibility.read_visibility(session, self._index)

        began = self._clock()  # taken before the query, because changes that are committed during it may be missing
        seen = await to_thread.run_sync(look)
        self._seen, self._looked_at = seen, began


def _retrieve_error(task: asyncio.Task[None]) -> None:
    if not task.cancelled():
        task.exception()  # marks the error as retrieved: callers that waited have it, and perhaps none waited


async def seen_by_all() -> None:
    """Wait until every process has looked at the catalog after this call, and so knows every deletion committed before it."""
    await asyncio.sleep(VIEW_SECONDS * _DRIFT)
