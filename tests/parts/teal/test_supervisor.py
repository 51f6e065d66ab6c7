"""A supervisord that is there and does not answer: nobody waits for it for ever."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from teal.errors import StackDown
from teal.laptop import supervisor
from teal.laptop.layout import Layout


@pytest.fixture
def frozen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Layout]:
    """The kernel takes connections for it; nobody reads them."""
    monkeypatch.setattr(supervisor, "ANSWER_SECONDS", 0.2)
    layout = Layout(tmp_path)
    layout.run.mkdir(parents=True, exist_ok=True)
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listening:
        listening.bind(str(layout.socket))
        listening.listen()
        yield layout


def test_a_frozen_supervisord_is_there_but_not_up(frozen: Layout) -> None:
    assert (supervisor.is_there(frozen), supervisor.is_up(frozen)) == (True, False)
    for call in (supervisor.processes, supervisor.stop_supervisord):
        with pytest.raises(StackDown):
            call(frozen)


def test_where_nobody_listens_nobody_is_there(tmp_path: Path) -> None:
    assert (supervisor.is_there(Layout(tmp_path)), supervisor.is_up(Layout(tmp_path))) == (False, False)
