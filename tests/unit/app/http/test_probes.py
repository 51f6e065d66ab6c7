"""What the watching task says of a part, at every moment of a look."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace

import pytest
from sqlalchemy import update

from app.catalog import keys
from app.catalog.engine import Catalog
from app.catalog.tables import KeyRow
from app.errors import CatalogUnavailable, IndexMismatch, SearchUnavailable
from app.http.probes import note_probe, show_ending_keys
from app.observability.metrics import KEY_ENDS
from tests.services.migrated import migrated

pytestmark = pytest.mark.anyio


async def test_a_broken_part_stays_broken_until_a_look_has_found_it_well() -> None:
    service = SimpleNamespace(reasons={}, broken=set())
    going_on = asyncio.Event()
    end = asyncio.Event()

    async def mismatch() -> None:
        raise IndexMismatch("another model's index")

    async def slow() -> None:
        going_on.set()
        await end.wait()

    await note_probe(service, "search", mismatch)  # type: ignore[arg-type]
    assert (service.broken, service.reasons) == ({"search"}, {"search": "another model's index"})
    look = asyncio.ensure_future(note_probe(service, "search", slow))  # type: ignore[arg-type]
    await going_on.wait()
    assert service.broken == {"search"}  # a /readyz at this moment must not say that all is well
    end.set()
    await look
    assert (service.broken, service.reasons) == (set(), {})


async def test_a_part_that_is_away_is_a_reason_and_no_break() -> None:
    service = SimpleNamespace(reasons={}, broken={"search"})

    async def away() -> None:
        raise SearchUnavailable("away")

    await note_probe(service, "search", away)  # type: ignore[arg-type]
    assert (service.broken, service.reasons) == (set(), {"search": "away"})


async def test_the_metric_names_the_keys_that_end_soon_and_forgets_one_that_was_replaced(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'catalog.db'}"
    migrated(url)
    catalog = Catalog(url)
    end = datetime.now(UTC) + timedelta(days=3)
    with catalog.write() as session:
        soon, _ = keys.create_key(session, name="n", role="reader", expires_at=end)
        keys.create_key(session, name="n", role="reader")
        session.execute(update(KeyRow).values(created_at=datetime.now(UTC) - timedelta(days=87)))
    service = SimpleNamespace(catalog=catalog)
    await show_ending_keys(service)  # type: ignore[arg-type]
    assert _shown() == {soon.id: pytest.approx(end.timestamp(), abs=1)}
    with catalog.write() as session:
        keys.rotate(session, soon.id, grace=timedelta(hours=1), expires_at=end + timedelta(days=90))
    await show_ending_keys(service)  # type: ignore[arg-type]
    assert _shown() == {}


def _shown() -> dict[str, float]:
    (family,) = KEY_ENDS.collect()
    return {sample.labels["key_id"]: sample.value for sample in family.samples}


async def test_a_catalog_that_is_away_leaves_the_metric_as_it_is() -> None:
    def away() -> None:
        raise CatalogUnavailable("away")

    KEY_ENDS.labels("0123456789ab").set(7)
    await show_ending_keys(SimpleNamespace(catalog=SimpleNamespace(read=away)))  # type: ignore[arg-type]
    assert _shown() == {"0123456789ab": 7}
    KEY_ENDS.clear()
