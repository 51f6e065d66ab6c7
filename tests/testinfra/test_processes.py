"""What runs: each part once, under one parent, as the user it should be, and nothing else."""

from __future__ import annotations

from collections import Counter

import pytest

from teal.record.model import COLORS
from tests.testinfra.place import Place

pytestmark = pytest.mark.integration


def test_each_part_of_the_stack_runs_once(laptop: Place) -> None:
    running = Counter(process.part for process in laptop.processes() if process.part not in ("supervisord", "keeper"))
    color = next(name for name in COLORS if f"{name}-worker" in running)
    wanted = {f"{color}-app-0", f"{color}-app-1", f"{color}-worker", "caddy", "redis", "watchdog"}
    wanted |= {"elasticsearch"} if laptop.state.search == "elasticsearch" else set()
    assert running.keys() == wanted
    assert {name for name, count in running.items() if count > 1} <= {"elasticsearch"}  # it has helpers of its own


def test_every_part_is_a_child_of_the_supervisor(laptop: Place) -> None:
    processes = laptop.processes()
    (supervisor,) = (process.pid for process in processes if process.part == "supervisord")
    (keeper,) = (process.pid for process in processes if process.part == "keeper")  # it must outlive the supervisor
    ours = {process.pid for process in processes}
    assert {process.parent for process in processes if process.pid not in (supervisor, keeper)} <= ours
    assert {process.parent for process in processes if process.part in ("caddy", "redis")} == {supervisor}


def test_a_container_runs_the_service_and_nothing_else(container: Place) -> None:
    first, *others = sorted(container.processes(), key=lambda process: process.pid)
    assert {"app.main", "app.worker"} & set(first.argv)
    assert {process.exe for process in others} <= {first.exe}  # the worker reads documents in child processes


def test_everything_runs_as_the_user_it_should(place: Place) -> None:
    """Who starts the stack owns all of it; root may, and then it is root's. Elasticsearch refuses root and gets `nobody`."""
    nobody = int(place.host.user("nobody").uid)
    for process in place.processes():
        expected = nobody if process.part == "elasticsearch" and place.user == 0 else place.user
        assert set(process.uids) == {expected}, process.argv


def test_a_container_has_no_capability_and_can_get_none(container: Place) -> None:
    for process in container.processes():
        assert process.capabilities == 0
        assert process.no_new_privileges
