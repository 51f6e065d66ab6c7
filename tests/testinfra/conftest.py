"""Which place is looked at. Without `--hosts` a laptop stack is started for it, or `--teal-home` names one that runs."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from testinfra.host import Host

from teal.laptop.program import find_program
from tests.services.ports import free_port
from tests.services.releasing import ReleaseStack
from tests.services.required import require
from tests.testinfra.place import Place

_CONTAINERS = {"docker", "podman", "kubectl", "openshift"}


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--teal-home", help="a running laptop stack to look at, such as .teal; default: one is started")


@pytest.fixture(scope="session")
def home(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The folder of a running stack."""
    require("Linux", "These checks read /proc.", sys.platform == "linux")
    if given := request.config.getoption("--teal-home", None):
        yield Path(given).resolve()
        return
    require("caddy and redis-server", "make up", bool(find_program("caddy") and find_program("redis-server")))
    stack = ReleaseStack(tmp_path_factory.mktemp("testinfra") / ".teal", free_port())
    try:
        stack.up()
        yield stack.home
    finally:
        stack.down()


@pytest.fixture
def place(host: Host, request: pytest.FixtureRequest) -> Place:
    """The laptop's stack, or the container that `--hosts` names."""
    if host.backend.get_connection_type() in _CONTAINERS:
        return Place(host, "container", None, "python3")
    return Place(host, "laptop", request.getfixturevalue("home"), sys.executable)


@pytest.fixture
def laptop(place: Place) -> Place:
    if place.kind != "laptop":
        pytest.skip("a container has no supervisor, load balancer, cache and folder of its own: look at those where they run")
    return place


@pytest.fixture
def container(place: Place) -> Place:
    if place.kind != "container":
        pytest.skip("about a container of the image: --hosts=docker://NAME (tests/testinfra/README.md)")
    return place
