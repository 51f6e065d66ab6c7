"""Ports are chosen without asking the machine: whether one is really free is held by tests/laptop, where parts listen on it."""

from __future__ import annotations

import pytest

from teal.laptop import loopback, state
from teal.laptop.parts import caddy


@pytest.fixture(autouse=True)
def every_port_is_free(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loopback, "is_free", lambda *_: True)
    for module in (state, caddy):
        monkeypatch.setattr(module, "is_free", lambda *_: True)
