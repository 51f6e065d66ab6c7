"""What it costs that a deleted document is never shown: CPU of a process, for each request and each look at the catalog.

`python -m tests.parts.app.view_cost`; the catalog is a file that is thrown away.
"""

from __future__ import annotations

import asyncio
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

from sqlalchemy import insert

from app.answering.catalog_view import CatalogView
from app.catalog.engine import Catalog, migrate
from app.catalog.tables import DocumentRow, now
from app.catalog.visibility import Visibility

DOCUMENTS = 20_000
FOUND = 100  # documents: as many as both lists of a search can hold


def fill(catalog: Catalog) -> list[str]:
    """Indexed documents; their ids."""
    ids = [f"{number:036d}" for number in range(DOCUMENTS)]
    rows = [
        {"id": one, "collection": "c", "title": "t", "attributes": {}, "content_sha256": one, "media_type": "text/plain", "bytes": 1,
         "status": "indexed", "created_at": now(), "updated_at": now()}
        for one in ids
    ]  # fmt: skip
    with catalog.write() as session:
        session.execute(insert(DocumentRow), rows)
    return ids


async def timed(what: str, work: Callable[[], Awaitable[object]], repetitions: int) -> None:
    """Print the CPU of one call, the mean of many."""
    began = time.process_time()
    for _ in range(repetitions):
        await work()
    print(f"{(time.process_time() - began) / repetitions * 1000:9.4f} ms  {what}")


async def measure(catalog: Catalog, ids: list[str]) -> None:
    """Print each cost."""
    found = ids[:: DOCUMENTS // FOUND]
    view = CatalogView(catalog, "teal")
    await view.look()
    await timed("a look", view.look, 500)
    view = CatalogView(catalog, "teal", clock=lambda: 0.0)  # for which time stands still: it stays young
    await view.look()
    await timed("a request finds the view young", view.current, 20_000)
    view._seen = Visibility(1, frozenset(ids[:500]), complete=True)
    await timed("a search's hits are checked, 500 deletions", lambda: view.deleted(found), 5_000)
    view._seen = Visibility(1, frozenset(), complete=False)
    await timed("the catalog is asked about the hits", lambda: view.deleted(found), 500)


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        url = f"sqlite:///{Path(folder) / 'catalog.db'}"
        migrate(url)
        catalog = Catalog(url)
        asyncio.run(measure(catalog, fill(catalog)))
        catalog.close()


if __name__ == "__main__":
    main()
