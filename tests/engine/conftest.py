"""The real Pulumi command, or a skip that says what is missing. It can be built from its Go module, which CI does not do yet: skipped there too."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.engine.provider import Cloud, serve
from tests.engine.workspace import Workspace


@dataclass(frozen=True)
class Engine:
    """A cloud that stands in, and workspaces on it."""

    cloud: Cloud
    open: Callable[[str, Path], Workspace]  # project name, folder of its program


def require_pulumi() -> None:
    """Skip without the command, in CI too."""
    if shutil.which("pulumi") is None:
        pytest.skip("the pulumi command is not on PATH: https://www.pulumi.com/docs/install")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if "tests/engine" in str(item.path):
            item.add_marker(pytest.mark.engine)


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    require_pulumi()
    cloud = Cloud()
    with serve(cloud) as providers:
        yield Engine(cloud, lambda project, main: Workspace.make(tmp_path_factory.mktemp(project), project, main, providers))
