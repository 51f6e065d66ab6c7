"""Whole releases on every adapter for AWS, with Pulumi's real engine. Weekly, because tests/node/release does the same on real pods."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.engine import aws
from tests.parts.teal.aws_story import tell


@pytest.mark.weekly
@pytest.mark.timeout(900)
def test_releases_a_failure_and_a_rollback_with_the_real_engine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with aws.start(tmp_path, monkeypatch) as (place, _, environ):
        tell(place, environ)
