"""Where the worker shows its metrics."""

from __future__ import annotations

import threading

import pytest

from app import worker
from app.observability import exposition
from app.settings import Settings


@pytest.mark.parametrize(("given", "address"), [({}, "127.0.0.1"), ({"metrics_address": "0.0.0.0"}, "0.0.0.0")])
def test_metrics_stay_on_this_machine_unless_an_address_is_given(
    given: dict[str, str], address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened: list[tuple[int, str]] = []
    monkeypatch.setattr(exposition, "serve_metrics", lambda port, address, _token: opened.append((port, address)))
    stop = threading.Event()
    stop.set()  # it opens its metrics first, so that what it waits for can be seen
    worker.serve(Settings(), worker.real_parts(), metrics_port=9102, stop=stop, **given)
    assert opened == [(9102, address)]
