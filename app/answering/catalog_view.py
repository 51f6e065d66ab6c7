"""What this process knows of the catalog, so that no search and no cached answer shows a deleted document.

No search asks the catalog by itself. A process looks a few times a second and trusts what it saw for VIEW_SECONDS; a request that finds an
older view looks first. Whoever deletes waits as long before it answers: from that moment on every process, of both colors, has looked after
the deletion. Only durations of each process's own clock are compared, so the machines' clocks need not agree.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Collection, Set
from typing import Final

from anyio import to_thread

from app.catalog import visibility
from app.catalog.engine import Catalog
from app.catalog.visibility import Visibility

# How long a deletion waits: twice the pause between two looks, so that requests seldom have to look themselves
VIEW_SECONDS: Final = 0.5
# Clocks of two machines run apart by a few parts in a hundred thousand; a paused timer may fire early by less
_DRIFT: Final = 1.02


class CatalogView:
    """The index's generation and what was deleted, as of the last look. Not thread-safe: the event loop's."""

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
        """Return at once while the last look is young enough, else after a new one. Raises `CatalogUnavailable`."""
        # Counted from this moment on: a look that takes longer than it is trusted for must not be repeated for ever.
        oldest = self._clock() - VIEW_SECONDS
        while self._looked_at <= oldest:
            await self.look()

    async def look(self) -> None:
        """Look now, or wait for the look that is under way. Raises `CatalogUnavailable`."""
        if self._looking is None:
            self._looking = asyncio.ensure_future(self._look())
            self._looking.add_done_callback(self._looked)
        await asyncio.shield(self._looking)

    async def deleted(self, document_ids: Collection[str]) -> Set[str]:
        """Those of these found documents that are deleted. Costs a question to the catalog only while very many deletions are recent, or the
        index is behind another one."""
        await self.current()
        if self._seen.complete:
            return self._seen.deleted & set(document_ids)

        def ask() -> set[str]:
            with self._catalog.read() as session:
                return visibility.deleted_among(session, document_ids)

        return await to_thread.run_sync(ask)

    async def _look(self) -> None:
        def look() -> Visibility:
            with self._catalog.read() as session:
                return visibility.read_visibility(session, self._index)

        began = self._clock()  # before the catalog is asked: what is committed later may be missing
        seen = await to_thread.run_sync(look)
        self._seen, self._looked_at = seen, began

    def _looked(self, task: asyncio.Task[None]) -> None:
        self._looking = None
        if not task.cancelled():
            task.exception()  # whoever waited has it; nobody may wait


async def seen_by_all() -> None:
    """Return when every process has looked after what was committed before this call."""
    await asyncio.sleep(VIEW_SECONDS * _DRIFT)
