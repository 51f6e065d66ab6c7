"""The real Pulumi command: the one on PATH, else built once from its Go module (command.py). Without Go a skip that says so, in CI a failure."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.engine.command import put_on_path
from tests.engine.provider import Cloud, serve
from tests.engine.workspace import Workspace


@dataclass(frozen=True)
class Engine:
    """A cloud that stands in, and workspaces on it."""

    cloud: Cloud
    open: Callable[[str, Path], Workspace]  # project name, folder of its program


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if "tests/engine" in str(item.path):
            item.add_marker(pytest.mark.engine)


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    cloud = Cloud()
    with pytest.MonkeyPatch.context() as shell, serve(cloud) as providers:
        put_on_path(shell, tmp_path_factory.getbasetemp() / "pulumi")
        yield Engine(cloud, lambda project, main: Workspace.make(tmp_path_factory.mktemp(project), project, main, providers))
