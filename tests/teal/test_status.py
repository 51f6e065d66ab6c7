from __future__ import annotations

import httpx
import pytest

from teal.stack import health, status
from teal.stack.layout import Layout


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
    row = status.model_row(home, {})
    assert (row.ok, row.mend) == (False, "teal up")
    assert status.model_row(home, {"TEAL_EMBEDDING": "bedrock"}, "no credentials").detail == "no credentials"
    assert status.model_row(home, {"TEAL_EMBEDDING": "bedrock"}).ok


@pytest.fixture
def home(tmp_path_factory: pytest.TempPathFactory) -> Layout:
    return Layout(tmp_path_factory.mktemp("home"))
