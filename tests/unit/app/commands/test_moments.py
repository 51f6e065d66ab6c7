"""Moments that people type after an option."""

from __future__ import annotations

import argparse
from datetime import UTC, datetime, timedelta

import pytest

from app.commands.moments import future_moment, moment


def test_a_moment_of_any_zone_is_read_in_utc() -> None:
    assert moment("2026-01-31T13:00:00+01:00") == datetime(2026, 1, 31, 12, tzinfo=UTC)
    assert moment("2026-01-31T12:00:00Z").tzinfo is UTC


@pytest.mark.parametrize("text", ["2026-01-31", "2026-01-31T12:00:00", "yesterday", ""])
def test_a_moment_without_zone_or_sense_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(argparse.ArgumentTypeError, match="2026-01-31T12:00:00Z"):
        moment(text)


def test_a_moment_that_has_passed_is_no_end_of_a_key() -> None:
    soon, past = datetime.now(UTC) + timedelta(hours=1), datetime.now(UTC) - timedelta(seconds=1)
    assert future_moment(soon.isoformat()) == soon
    with pytest.raises(argparse.ArgumentTypeError, match="not in the future"):
        future_moment(past.isoformat())
