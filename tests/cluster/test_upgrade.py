"""What upgrades the API server under our objects (tests/cluster/upgrade.py) sees them all again, and sees what is not as it was."""

from __future__ import annotations

from pathlib import Path

from tests.cluster import upgrade
from tests.services.go_tools import tool


def test_a_server_that_starts_again_has_every_object_unchanged(tmp_path: Path) -> None:
    assert upgrade.upgrade(tmp_path, tool("kube-apiserver"), "dev") == []


def test_an_api_that_goes_is_read_off_the_server_s_metrics() -> None:
    page = (
        'apiserver_requested_deprecated_apis{group="autoscaling",removed_release="1.36",resource="horizontalpodautoscalers",version="v2"} 1\n'
        "apiserver_storage_objects{} 1\n"
    )
    assert len(upgrade.DEPRECATED.findall(page)) == 1
