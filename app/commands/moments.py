"""Moments as people type them after an option: ISO 8601 with a time zone."""

from __future__ import annotations

import argparse
from datetime import UTC, datetime


def moment(text: str) -> datetime:
    """The moment in UTC; raises `ArgumentTypeError`, whose words argparse shows."""
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        found = None
    if found is None or found.tzinfo is None:
        raise argparse.ArgumentTypeError(f"{text} is not a moment with its time zone, for example 2026-01-31T12:00:00Z")
    return found.astimezone(UTC)


def future_moment(text: str) -> datetime:
    """As `moment`; one that has passed is refused too."""
    found = moment(text)
    if found <= datetime.now(UTC):
        raise argparse.ArgumentTypeError(f"{text} is not in the future")
    return found
