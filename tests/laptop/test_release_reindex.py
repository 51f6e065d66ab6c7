"""A release with a search index of its own: built from the catalog, both kept up while either may be read, the old one removed at the end."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from teal.drill.findable import documents_not_found
from teal.ports.traffic import all_to
from tests.services.releasing import ReleaseStack, tree

pytestmark = [pytest.mark.integration, pytest.mark.release, pytest.mark.timeout(400)]
PER_SECOND = 20.0
RULES = {"analysis_seconds": 3, "minimum_samples": 40, "hold_seconds": 4, "poll_seconds": 0.5, "jobs_seconds": 30}


@pytest.fixture
def stack(tmp_path: Path) -> Iterator[ReleaseStack]:
    yield from ReleaseStack.running(tmp_path, RULES)


def indexes(stack: ReleaseStack) -> set[str]:
    return {path.name for path in stack.layout.data.glob("search*.db")}


def test_a_release_with_an_index_of_its_own_loses_nothing_in_either_direction(stack: ReleaseStack, tmp_path: Path) -> None:
    stack.fill()
    key = stack.key()
    stack.shell = {"TEAL_PASSAGE_TOKENS": "90"}  # what a new index is for: documents are cut otherwise
    users = stack.users((key,), per_second=PER_SECOND)
    users.start()

    stack.rules = RULES | {"hold_seconds": 120}
    log = tmp_path / "second.jsonl"
    releaser = stack.start("release", str(tree(tmp_path, text="second")), "--reindex", "--json", to=log)
    deadline = time.monotonic() + 200
    while stack.weights() != all_to("green"):
        assert releaser.poll() is None, log.read_text()[-2000:]
        assert time.monotonic() < deadline
        time.sleep(0.1)
    assert len(indexes(stack)) == 2
    assert stack.teal("rollback")[0] == 0
    assert releaser.wait(60) == 1
    assert indexes(stack) == {"search.db"}

    stack.rules = RULES
    code, events = stack.teal("release", str(tree(tmp_path, text="third")), "--reindex")
    assert code == 0, events[-5:]
    assert [row["detail"] for row in events if row.get("step") == "verify-index" and "as in the catalog" in row.get("detail", "")]
    record = stack.record()
    assert record.green.index.startswith("teal-r")
    assert indexes(stack) == {f"search-{record.green.index}.db"}

    met = users.stop()
    assert (met.failed, met.broken_streams) == (0, 0), met.failures
    assert len(met.accepted) > 10
    assert documents_not_found(stack.url, key, stack.layout.ca, met.accepted, seconds=60) == {}
