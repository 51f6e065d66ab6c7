"""What `teal keys` says of a key, and where the stack keeps its own."""

from __future__ import annotations

import stat
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from teal import present
from teal.keys import keep_if_own
from teal.laptop.layout import Layout, create_folders

NOW = datetime(2026, 3, 1, tzinfo=UTC)
LATER, EARLIER = "2026-03-09T00:00:00+00:00", "2026-02-09T00:00:00+00:00"


@pytest.mark.parametrize(
    ("key", "state"),
    [
        ({}, "valid"),
        ({"expires_at": LATER}, "until 2026-03-09T00:00:00"),
        ({"expires_at": LATER, "ends_soon": True, "id": "k1"}, "ends soon, 2026-03-09T00:00:00: teal keys rotate k1"),
        ({"expires_at": LATER, "replaced_by": "k2"}, "until 2026-03-09T00:00:00, then k2"),
        ({"expires_at": EARLIER, "replaced_by": "k2"}, "ended 2026-02-09T00:00:00"),
        ({"expires_at": LATER, "revoked_at": EARLIER}, "revoked"),
    ],
)
def test_a_keys_state_says_what_to_do_about_it(key: dict[str, Any], state: str) -> None:
    assert present.key_state(key, NOW) == state


@pytest.mark.parametrize(
    ("key", "said"),
    [
        ({}, "none"),
        ({"quota": {"requests": None, "questions": None}, "used_today": {}}, "none"),
        (
            {"quota": {"requests": 100, "questions": 5}, "used_today": {"requests": 7, "questions": 5}},
            "7/100 requests, 5/5 questions",
        ),
        ({"quota": {"requests": None, "questions": 5}, "used_today": {}}, "0/5 questions"),
        ({"quota": {"requests": None, "questions": 5}}, "5 questions"),
    ],
)
def test_a_quota_is_shown_with_what_is_used_of_it(key: dict[str, Any], said: str) -> None:
    assert present.quota(key) == said


def test_only_the_stacks_own_key_is_replaced_in_its_file(tmp_path: Path) -> None:
    layout = Layout(tmp_path / ".teal")
    create_folders(layout)
    assert keep_if_own(layout, "a1", "teal_b2_new") is False
    assert not layout.admin_key.exists()
    layout.admin_key.write_text("teal_a1_old\n")
    assert keep_if_own(layout, "c3", "teal_b2_new") is False
    assert layout.admin_key.read_text() == "teal_a1_old\n"
    assert keep_if_own(layout, "a1", "teal_b2_new") is True
    assert layout.admin_key.read_text() == "teal_b2_new\n"
    assert stat.S_IMODE(layout.admin_key.stat().st_mode) == 0o600
