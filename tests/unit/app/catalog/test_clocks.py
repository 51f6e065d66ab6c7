"""What the catalog promises while the time of day is set by hours: nothing is refused, doubled, lost or kept waiting for as long as it was wrong."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta

import pytest
from sqlalchemy import update

from app.catalog import accept as accepting
from app.catalog import documents, ingestion_queries, keys, sessions, usage, versions, workers
from app.catalog.engine import Catalog
from app.catalog.tables import DocumentRow
from app.errors import Unauthenticated
from tests.contract.catalog_promises import accept

NOON = datetime(2026, 11, 29, 12, tzinfo=UTC)
JUMPS = [-23, -2, 2, 23]  # hours
SetTo = Callable[[timedelta], None]


@pytest.fixture
def at(monkeypatch: pytest.MonkeyPatch) -> SetTo:
    """Sets the time of day to noon and so much."""

    def set_to(after: timedelta) -> None:
        for module in (accepting, documents, ingestion_queries, keys, sessions, versions, workers):
            if hasattr(module, "now"):
                monkeypatch.setattr(module, "now", lambda: NOON + after)

    set_to(timedelta())
    return set_to


@pytest.mark.parametrize("hours", JUMPS)
def test_the_same_request_is_taken_once_after_the_clock_was_set(catalog: Catalog, at: SetTo, hours: int) -> None:
    first = accept(catalog, "words", key="one")
    at(timedelta(hours=hours))
    with catalog.write() as session:
        workers.forget_old(session, idempotency_hours=24, worker_days=1)
    again = accept(catalog, "words", key="one")
    assert (again.id, again.created) == (first.id, False)


@pytest.mark.parametrize("hours", [-48, *JUMPS, 48])
def test_a_job_that_was_lost_is_found_within_its_seconds_after_the_clock_was_set(catalog: Catalog, at: SetTo, hours: int) -> None:
    lost = accept(catalog, "words")
    at(timedelta(hours=hours, seconds=7))
    with catalog.read() as session:
        found = ingestion_queries.queued_jobs(session, older_than_seconds=6, limit=9, after=None)
    assert [job.document_id for job, _ in found] == [lost.id]


def test_a_job_that_was_touched_a_moment_ago_is_left_alone_by_machines_whose_clocks_differ_a_little(
    catalog: Catalog, at: SetTo
) -> None:
    accept(catalog, "words")
    for seconds in (-60, -1, 0, 5):
        at(timedelta(seconds=seconds))
        with catalog.read() as session:
            assert ingestion_queries.queued_jobs(session, older_than_seconds=6, limit=9, after=None) == []


@pytest.mark.parametrize("hours", JUMPS)
def test_a_deleted_document_is_purged_and_stays_gone_after_the_clock_was_set(catalog: Catalog, at: SetTo, hours: int) -> None:
    gone = accept(catalog, "words")
    with catalog.write() as session:
        documents.delete(session, gone.id, None)
    at(timedelta(hours=hours, seconds=7))
    with catalog.read() as session:
        assert ingestion_queries.to_purge(session, older_than_seconds=6, limit=9) == [gone.id]
        assert not documents.page(session, limit=9, cursor=None, collections=None).items


@pytest.mark.parametrize("hours", JUMPS)
def test_a_new_version_is_not_called_unfinished_for_as_long_as_the_clock_was_wrong(
    catalog: Catalog, at: SetTo, hours: int
) -> None:
    old = accept(catalog, "old words", source="page")
    _indexed(catalog, old.id)
    new = accept(catalog, "new words", source="page")
    _indexed(catalog, new.id)
    with catalog.write() as session:
        versions.make_way(session, [new.id])
    at(timedelta(hours=hours, seconds=30))
    with catalog.read() as session:
        assert versions.replacing(session, [new.id]) == set()


def test_a_session_ends_by_its_own_time_and_a_clock_set_back_ends_none(catalog: Catalog, at: SetTo) -> None:
    with catalog.write() as session:
        key, _ = keys.create_key(session, name="k", role="reader")
        token = sessions.open_session(session, key.id, 12)
    for hours, lives in ((-2, True), (11, True), (13, False), (-2, True)):
        at(timedelta(hours=hours))
        with catalog.read() as session:
            if lives:
                assert sessions.session_principal(session, token).key_id == key.id
            else:
                with pytest.raises(Unauthenticated):
                    sessions.session_principal(session, token)


def test_a_clock_set_over_midnight_and_back_gives_no_day_its_quota_twice(catalog: Catalog) -> None:
    today, tomorrow = date(2026, 11, 29), date(2026, 11, 30)
    granted = {today: 0, tomorrow: 0}
    with catalog.write() as session:
        key, _ = keys.create_key(session, name="k", role="reader")
    for day in (today, tomorrow, today, tomorrow, today):
        with catalog.write() as session:
            granted[day] += sum(usage.reserve(session, key.id, "questions", day, count=5, limit=20) for _ in range(3))
    assert granted == {today: 20, tomorrow: 20}


def _indexed(catalog: Catalog, document_id: str) -> None:
    with catalog.write() as session:
        session.execute(update(DocumentRow).where(DocumentRow.id == document_id).values(status="indexed"))
