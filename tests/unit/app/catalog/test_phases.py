"""Expand and contract: what a release may run, and what it must leave."""

from __future__ import annotations

from pathlib import Path

import pytest

from app.catalog import phases
from app.catalog.phases import Revision, expandable, pending_revisions
from app.errors import MigrationRefused

E1, E2, C3, C4, E5 = (
    Revision("0001", "expand"),
    Revision("0002", "expand"),
    Revision("0003", "contract"),
    Revision("0004", "contract"),
    Revision("0005", "expand"),
)


def test_every_revision_says_its_phase_and_this_code_can_serve_its_own_schema() -> None:
    known = phases.revisions()
    assert known[0] == E1
    assert phases.OLDEST_REVISION in [revision.id for revision in known]


def test_only_expanding_revisions_run_and_a_contraction_at_the_end_waits() -> None:
    assert expandable((E1, E2, C3, C4), "0001", oldest="0001") == "0002"
    assert expandable((E1, E2, C3, C4), "0002", oldest="0001") is None
    assert pending_revisions((E1, E2, C3, C4), "0002") == (C3, C4)


def test_an_expansion_behind_a_contraction_is_refused_by_name() -> None:
    with pytest.raises(MigrationRefused, match=r"0005.*0003"):
        expandable((E1, E2, C3, C4, E5), "0002", oldest="0001")


def test_code_that_needs_a_contraction_is_refused_before_anything_is_touched() -> None:
    with pytest.raises(MigrationRefused, match="0003"):
        expandable((E1, C3), "0001", oldest="0003")


def test_an_empty_database_has_nobody_to_protect() -> None:
    assert expandable((E1, E2, C3), None) == "0003"


def test_a_database_ahead_of_this_code_is_left_alone() -> None:
    assert expandable((E1, E2), "0009") is None


def test_an_expansion_is_taken_back_by_its_own_downgrade_and_can_run_again(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'catalog.db'}"
    newest = phases.expand(url, None)
    assert phases.take_back(url, newest, "0003") == "0003"
    assert phases.take_back(url, "0003", "0003") == "0003"
    assert phases.expand(url, "0003") == newest
    with pytest.raises(MigrationRefused, match="cannot take it back"):
        phases.take_back(url, newest, "0000")


def test_expanding_twice_is_expanding_once(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'catalog.db'}"
    first = phases.expand(url, None)
    assert first == phases.revisions()[-1].id
    assert phases.expand(url, first) == first
