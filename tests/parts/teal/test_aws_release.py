"""Whole releases on the adapters for AWS, all of them at once; Pulumi's part is told by tests/engine/test_release.py. Weekly, because
tests/node/release does the same on real pods."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.parts.teal.aws_story import tell
from tests.services import aws_place
from tests.services.aws_place import KeptDeployments

pytestmark = [pytest.mark.integration, pytest.mark.long, pytest.mark.weekly, pytest.mark.timeout(600)]


def test_releases_a_failure_and_a_rollback_on_every_adapter_for_aws(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with aws_place.start(tmp_path, KeptDeployments()) as place:
        for name, value in place.environ().items():
            monkeypatch.setenv(name, value)
        monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "ca.pem"))
        tell(place, place.environ())
