"""What `teal cluster up` makes of a log that is there and of a lock that somebody holds. That it starts one: tests/node/test_cluster_command.py."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from teal.cluster import place as places
from teal.cluster import status as statuses
from teal.cluster import up as starting
from teal.cluster.place import BEGIN, READY, Place
from teal.cluster.up import NotStarted, Wanted, up
from teal.errors import BadInput, HeldByAnother

CHECKOUT = Path("/a/checkout")
SPOKEN = {"kubectl": "k", "shell": "s", "folder": "/tmp/f", "pid": 7}


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Place:
    for module in (starting, statuses):
        monkeypatch.setattr(module, "require_checkout", lambda: CHECKOUT)
    monkeypatch.setattr(starting, "LOCK_SECONDS", 0.0)
    made = Place(tmp_path / "cluster")
    made.folder.mkdir()
    return made


@pytest.fixture
def running(place: Place) -> Iterator[None]:
    """Somebody holds the lock."""
    held = places.hold(place)
    assert held is not None
    yield
    os.close(held)


def write(place: Place, *events: dict[str, Any]) -> None:
    begun = {"step": BEGIN, "pid": os.getpid(), "nodes": 1, "metrics": False, "checkout": str(CHECKOUT)}
    place.log.write_text("".join(f"{json.dumps(event)}\n" for event in (begun, *events)))


@pytest.mark.usefixtures("running")
def test_up_again_answers_with_the_cluster_that_runs(place: Place) -> None:
    write(place, {"step": READY, "state": "ok", **SPOKEN})
    assert [event.step for event in up(place, Wanted())] == [READY]


@pytest.mark.usefixtures("running")
def test_a_cluster_that_an_earlier_version_started_is_known(place: Place) -> None:
    begun = {"step": BEGIN, "pid": os.getpid(), "nodes": 1, "checkout": str(CHECKOUT)}
    place.log.write_text("".join(f"{json.dumps(event)}\n" for event in (begun, {"step": READY, "state": "ok", **SPOKEN})))
    assert [event.step for event in up(place, Wanted())] == [READY]


@pytest.mark.usefixtures("running")
@pytest.mark.parametrize(
    ("wanted", "checkout"), [(Wanted(2), CHECKOUT), (Wanted(metrics=True), CHECKOUT), (Wanted(), Path("/another"))]
)
def test_a_different_cluster_that_runs_is_not_taken_for_this_one(
    wanted: Wanted, checkout: Path, place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(place, {"step": READY, **SPOKEN})
    monkeypatch.setattr(starting, "require_checkout", lambda: checkout)
    with pytest.raises(HeldByAnother) as refused:
        list(up(place, wanted))
    assert "teal cluster down" in refused.value.next


def _started(place: Place, *events: dict[str, Any], words: str = "") -> Any:
    """In the place of a process that says this and ends."""

    def start(*_: object) -> None:
        write(place, *events)
        with place.log.open("a") as log:
            log.write(words)

    return start


@pytest.mark.parametrize(("code", "kind"), [("bad-input", BadInput), ("cluster-failed", NotStarted)])
def test_what_the_process_refuses_is_passed_on_in_its_words(
    code: str, kind: type[Exception], place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    error = {"code": code, "what": "runc is missing", "next": "sudo apt-get install runc"}
    monkeypatch.setattr(starting, "launch", _started(place, {"error": error}))
    with pytest.raises(kind, match="runc is missing"):
        list(up(place, Wanted()))


def test_a_process_that_ends_early_is_told_with_its_last_line(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(starting, "launch", _started(place, words="RuntimeError: the machine's mounts failed\n"))
    with pytest.raises(NotStarted, match="mounts failed"):
        list(up(place, Wanted()))


def test_status_tells_not_running_from_starting(place: Place) -> None:
    assert statuses.status(place).rows[0].detail == "not running"
    held = places.hold(place)
    assert held is not None
    write(place, {"step": "programs", "state": "progress", "detail": "kubelet: 12 packages"})
    found = statuses.status(place)
    assert (found.healthy, found.rows[0].detail) == (False, "starting: programs kubelet: 12 packages")
    os.close(held)


@pytest.mark.usefixtures("running")
def test_status_is_what_the_cluster_answers(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    write(place, {"step": READY, **SPOKEN})
    rows = [
        {"part": "API server", "ok": True, "detail": "", "mend": ""},
        {"part": "node", "ok": False, "detail": "not ready", "mend": "x"},
    ]
    monkeypatch.setattr(statuses, "ask", lambda *_, **__: iter(rows))
    found = statuses.status(place)
    assert not found.healthy
    assert [row["part"] for row in found.fields()["rows"]] == ["API server", "node"]
    assert found.fields()["kubectl"] == "k"
