"""What a process knows of deletions, and how old that may be."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import update

from app.answering.catalog_view import VIEW_SECONDS, CatalogView
from app.catalog import documents, index_outbox, index_state, ingestion_queries, visibility
from app.catalog.engine import Catalog
from app.catalog.tables import DocumentRow, now
from app.catalog.visibility import LATE_WRITE_SECONDS
from app.errors import CatalogUnavailable
from tests.contract.catalog_promises import accept

pytestmark = pytest.mark.anyio


class Clock:
    seconds = 100.0

    def __call__(self) -> float:
        return self.seconds


def delete(catalog: Catalog, document_id: str) -> None:
    with catalog.write() as session:
        documents.delete(session, document_id, None)


async def test_a_request_after_the_views_time_sees_every_deletion_before_it(catalog: Catalog) -> None:
    clock = Clock()
    view = CatalogView(catalog, "teal", clock=clock)
    document_id = accept(catalog, "words").id
    await view.current()
    assert await view.deleted([document_id]) == set()
    before = view.generation
    delete(catalog, document_id)
    clock.seconds += VIEW_SECONDS
    await view.current()
    assert view.generation > before  # so nothing cached before is read again
    assert await view.deleted([document_id, "unknown"]) == {document_id}


async def test_a_young_view_costs_no_question_to_the_catalog(catalog: Catalog) -> None:
    clock = Clock()
    view = CatalogView(catalog, "teal", clock=clock)
    await view.current()
    with catalog.write() as session:
        index_state.raise_generation(session)
    before = view.generation
    clock.seconds += VIEW_SECONDS / 2
    await view.current()
    assert await view.deleted(["anything"]) == set()
    assert view.generation == before


@pytest.mark.timeout(30)  # it went round in the event loop for ever, so nothing in the loop could end it
async def test_a_request_that_comes_just_as_a_slow_look_ends_looks_anew_and_does_not_stop_the_process(catalog: Catalog) -> None:
    clock = Clock()
    view = CatalogView(catalog, "teal", clock=clock)
    with catalog.write() as session:
        index_state.raise_generation(session)
    slow = asyncio.create_task(view.look())
    for _ in range(2):  # its first step makes the look, whose first step takes the time
        await asyncio.sleep(0)
    clock.seconds += 2 * VIEW_SECONDS
    while view.generation == 0:  # noqa: ASYNC110 - an event would wake it a turn of the loop too late
        await asyncio.sleep(0)
    await view.current()  # the look has ended, and its callback has not run yet
    await slow
    clock.seconds += VIEW_SECONDS / 4
    await view.current()


async def test_a_deletion_is_looked_for_until_the_index_can_no_longer_hold_it(catalog: Catalog) -> None:
    clock = Clock()
    view = CatalogView(catalog, "teal", clock=clock)
    document_id = accept(catalog, "words").id
    delete(catalog, document_id)

    async def seen() -> set[str]:
        clock.seconds += VIEW_SECONDS
        return await view.deleted([document_id])

    long_ago = now() - timedelta(seconds=LATE_WRITE_SECONDS + 1)
    assert await seen() == {document_id}  # no worker has removed it yet
    with catalog.write() as session:
        ingestion_queries.purged(session, [document_id])
    assert await seen() == {document_id}  # a worker that was late may write it once more
    with catalog.write() as session:
        session.execute(update(DocumentRow).values(purged_at=long_ago))
        index_outbox.register_index(session, "teal", serving=True)
        index_outbox.add_entries(session, "teal", [document_id])
    assert await seen() == {document_id}  # the other color's worker has; this index is owed it
    with catalog.write() as session:
        index_outbox.remove_entries(session, "teal", index_outbox.next_entries(session, "teal", limit=9, attempts=9))
    assert await seen() == set()


async def test_more_deletions_than_a_process_remembers_are_asked_for(catalog: Catalog, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(visibility, "MOST_REMEMBERED", 2)
    gone = [accept(catalog, f"words {number}").id for number in range(4)]
    live = accept(catalog, "live").id
    for one in gone:
        delete(catalog, one)
    assert await CatalogView(catalog, "teal").deleted([*gone, live]) == set(gone)


async def test_without_the_catalog_an_old_view_is_not_trusted(tmp_path: Path) -> None:
    view = CatalogView(Catalog(f"sqlite:///{tmp_path / 'never-migrated.db'}"), "teal")
    with pytest.raises(CatalogUnavailable):
        await view.current()
