"""What a test needs and this machine may lack. Where CI=true a missing part is a failure, elsewhere a skip that says what brings it."""

from __future__ import annotations

import os

import pytest


def require(part: str, hint: str, present: bool) -> None:
    """Go on when `part` is there; otherwise skip with the hint, or fail where nothing may be skipped."""
    if present:
        return
    if os.environ.get("CI") == "true":
        pytest.fail(f"{part} is missing, and in CI nothing may be skipped. {hint}")
    pytest.skip(f"{part} is missing. {hint}")
