"""What `teal cluster down` says. That it ends a cluster: tests/node/test_cluster_command.py."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from teal.cluster import down as ending
from teal.cluster import place as places
from teal.cluster.down import down
from teal.cluster.place import Place
from teal.errors import NeedsHuman


@pytest.fixture
def left(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What cannot be removed."""
    stays: list[str] = []

    def swept(*_: object, **__: object) -> Iterator[dict[str, str]]:
        yield from ({"left": one} for one in stays)

    monkeypatch.setattr(ending, "require_checkout", lambda: Path("/a/checkout"))
    monkeypatch.setattr(ending, "ask", swept)
    monkeypatch.setattr(ending, "LOCK_SECONDS", 0.0)
    return stays


@pytest.mark.usefixtures("left")
def test_down_without_a_cluster_is_well_and_leaves_no_folder(tmp_path: Path) -> None:
    place = Place(tmp_path / "cluster")
    (event,) = down(place)
    assert (event.state, event.detail) == ("ok", "did not run; nothing of it is left")
    assert not place.folder.exists()


def test_what_could_not_be_removed_needs_a_person_and_is_named(tmp_path: Path, left: list[str]) -> None:
    place = Place(tmp_path / "cluster")
    left.append("/sys/fs/cgroup/cpu/teal-node-7-0")
    with pytest.raises(NeedsHuman) as refused:
        list(down(place))
    assert refused.value.where == left[0]
    held = places.hold(place)
    assert held is not None, "the lock was not let go"
    os.close(held)
