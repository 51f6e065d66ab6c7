"""What each part last did decides whether it is healthy, not that its process exists."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import httpx
import pytest

from teal.errors import AdminFailed
from teal.laptop import admin
from teal.laptop.layout import Layout
from teal.laptop.parts import catalog, elasticsearch, snapshots, worker
from teal.laptop.parts.part import PartContext
from teal.laptop.state import UpOptions, choose_state


def _place(tmp_path: Path) -> PartContext:
    return PartContext(Layout(tmp_path), choose_state(None, UpOptions(search="elasticsearch")), {})


def test_a_worker_whose_process_does_not_answer_is_frozen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def silent(*_: object, **__: object) -> httpx.Response:
        raise httpx.ReadTimeout("")

    monkeypatch.setattr(httpx, "get", silent)
    good, said = worker.WorkerPart().health(_place(tmp_path), "blue-worker")
    assert not good
    assert "frozen" in said


def test_a_version_without_the_command_is_no_fault(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def unknown(*_: object) -> list[dict[str, Any]]:
        raise AdminFailed("activity", code="invalid-request", detail="invalid choice", action="", bad_input=True)

    monkeypatch.setattr(admin, "run_on", unknown)
    assert [row.ok for row in catalog.CatalogPart().status(_place(tmp_path), ())] == [True]


def test_a_snapshot_folder_is_tried_with_a_real_file(tmp_path: Path) -> None:
    assert snapshots.unwritable_reason(tmp_path / "new") is None
    assert list((tmp_path / "new").iterdir()) == []
    (tmp_path / "file").write_text("")
    (row,) = snapshots.SnapshotsPart().status(PartContext(Layout(tmp_path / "file"), choose_state(None, UpOptions()), {}), ())
    assert not row.ok
    assert "none can be taken" in row.detail


def test_an_index_that_takes_no_write_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    body = {
        "teal-1": {"settings": {"index.blocks.read_only_allow_delete": "true"}},
        "teal-2": {"settings": {"index.blocks.read_only_allow_delete": "false"}},
        "teal-3": {"settings": {}},
    }
    monkeypatch.setattr(httpx, "get", lambda *_, **__: httpx.Response(200, json=body))
    assert elasticsearch.write_blocks("http://x") == ["teal-1"]
    (row,) = elasticsearch.ElasticsearchPart().status(_place(tmp_path), ("elasticsearch",))
    assert not row.ok
    assert "teal-1 take no write" in row.detail
