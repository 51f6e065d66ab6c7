from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import pytest

from teal.cluster import place as places
from teal.cluster.place import BEGIN, READY, Place


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path / "cluster")


def test_only_one_holds_the_lock_until_it_is_let_go(place: Place) -> None:
    held = places.hold(place)
    assert held is not None
    assert places.hold(place) is None
    assert places.is_running(place)
    os.close(held)
    assert not places.is_running(place)
    again = places.hold(place)
    assert again is not None
    os.close(again)


def test_a_lock_of_a_folder_that_was_removed_holds_nothing(place: Place) -> None:
    old = places.hold(place)
    assert old is not None
    places.forget(place)
    new = places.hold(place)
    assert new is not None
    assert places.is_running(place)
    os.close(old)
    assert places.is_running(place)
    os.close(new)


def test_to_look_whether_it_runs_makes_nothing(place: Place) -> None:
    assert not places.is_running(place)
    assert not place.folder.exists()
    assert places.read(place) == places.Story()


def test_the_log_tells_events_the_error_and_the_last_other_lines(place: Place) -> None:
    place.folder.mkdir()
    lines = [
        json.dumps({"step": BEGIN, "pid": 7, "nodes": 1, "checkout": "/there"}),
        "a compiler's word",
        json.dumps({"step": "programs", "state": "progress", "detail": "kubelet", "done": 1, "total": 7}),
        json.dumps({"error": {"code": "bad-input", "what": "x", "where": "y", "next": "z"}}),
        json.dumps({"step": READY, "detail": "half of a line"})[:-1],
    ]
    place.log.write_text("\n".join(lines))
    story = places.read(place)
    assert [event.step for event in story.events] == [BEGIN, "programs"]
    assert story.events[1].done == 1
    assert story.data(BEGIN) == {"pid": 7, "nodes": 1, "checkout": "/there"}
    assert story.error["next"] == "z"
    assert story.last == ("a compiler's word",)
    assert story.data(READY) == {}


def test_a_folder_removed_between_two_steps_is_made_again(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    made = Path.mkdir
    removed: list[bool] = []

    def made_and_removed_once(self: Path, *arguments: object, **more: object) -> None:
        made(self, *arguments, **more)  # type: ignore[arg-type]
        if not removed:
            removed.append(True)
            shutil.rmtree(self)

    monkeypatch.setattr(Path, "mkdir", made_and_removed_once)
    held = places.hold(place)
    assert held is not None
    os.close(held)


def test_only_processes_with_this_folder_s_mark_are_its_own(place: Place) -> None:
    assert places.marked(place) == []
