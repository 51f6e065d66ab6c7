from __future__ import annotations

import shutil
from types import SimpleNamespace

import httpx
import pytest

from teal.laptop import health, status
from teal.laptop.layout import Layout
from teal.laptop.parts import model


def _answers(monkeypatch: pytest.MonkeyPatch, code: int, body: dict[str, object]) -> None:
    monkeypatch.setattr(httpx, "get", lambda *_, **__: httpx.Response(code, json=body))


def test_an_app_that_only_lacks_the_model_is_ready_by_words_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    _answers(monkeypatch, 200, {"status": "degraded", "reasons": {"model": "not here"}})
    assert health.app_ok("http://x") == (True, "ready, by words alone", "not here")


@pytest.mark.parametrize(
    ("code", "body", "good"),
    [
        (200, {"status": "ready", "reasons": {}}, True),
        (200, {"status": "degraded", "reasons": {"model": "m", "redis": "r"}}, False),
        (503, {"status": "broken", "reasons": {"model": "m"}}, False),
    ],
)
def test_everything_else_that_is_away_is_a_fault_of_the_app(
    monkeypatch: pytest.MonkeyPatch, code: int, body: dict[str, object], good: bool
) -> None:
    _answers(monkeypatch, code, body)
    assert health.app_ok("http://x")[::2] == (good, None)


def test_the_model_row_carries_the_fault_and_its_mend(home: Layout) -> None:
    row = model.model_row(home, {})
    assert (row.ok, row.mend) == (False, "teal up")
    assert model.model_row(home, {"TEAL_EMBEDDING": "bedrock"}, "no credentials").detail == "no credentials"
    assert model.model_row(home, {"TEAL_EMBEDDING": "bedrock"}).ok


@pytest.mark.parametrize(
    ("documents", "search", "said"),
    [
        ({"indexed": 3}, {"passages": 9}, None),
        ({"indexed": 0, "queued": 2}, {"passages": 0}, None),
        ({}, {}, None),
        ({"indexed": None}, {"passages": None}, None),
        ({"indexed": 3}, {"passages": 0}, "holds no passages"),
        ({"indexed": 3}, {"passages": None}, "no index"),
    ],
)
def test_a_lost_search_index_is_a_fault_with_both_ways_back(
    documents: dict[str, int | None], search: dict[str, int | None], said: str | None
) -> None:
    found = status.search_row(documents, search)
    assert bool(found) == (said is not None)
    for row in found:
        assert not row.ok
        assert said is not None
        assert said in row.detail
        assert "teal restore --only search" in row.mend
        assert "teal rebuild" in row.mend


def test_a_full_disk_is_a_fault_though_every_process_runs(home: Layout, monkeypatch: pytest.MonkeyPatch) -> None:
    assert status.disk_row(home) == []
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=0))
    [row] = status.disk_row(home)
    assert not row.ok
    assert "disk-full" in row.mend


@pytest.fixture
def home(tmp_path_factory: pytest.TempPathFactory) -> Layout:
    return Layout(tmp_path_factory.mktemp("home"))
