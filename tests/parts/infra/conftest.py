"""The programs as their unit tests evaluate them, for tests that hold what they register against a real part."""

from __future__ import annotations

from tests.unit.infra.conftest import platform, stack

__all__ = ["platform", "stack"]
