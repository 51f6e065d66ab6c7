"""What is looked at: the laptop stack on this machine, or one container of the service's image; and what is true of each."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from testinfra.host import Host

from teal.laptop.layout import Layout
from teal.laptop.marks import HOME_MARK, PART_MARK
from teal.laptop.state import LaptopState, load_state

IMAGE_USER = 10001  # app/Dockerfile
IMAGE_PORTS = frozenset(
    {8080, 9100}
)  # what app.main and app.worker are told to listen on (infra/service/pods.py, app/Dockerfile)
_PROCESSES = Path(__file__).with_name("processes.py").read_text(encoding="utf-8")
_PACKAGES = (
    "import importlib.metadata as m, json, platform;"
    "print(json.dumps({'python_full_version': platform.python_version(),"
    " 'packages': {each.metadata['Name']: each.version for each in m.distributions()}}))"
)


@dataclass(frozen=True)
class Process:
    """One process. `part`: which of the laptop stack's, by the mark in its environment. `listens`: (address, port)."""

    pid: int
    parent: int
    argv: tuple[str, ...]
    exe: str
    uids: tuple[int, ...]
    capabilities: int
    no_new_privileges: bool
    part: str
    listens: tuple[tuple[str, int], ...]


@dataclass(frozen=True)
class Place:
    """`home`: of the laptop's stack; None in a container. `python`: the interpreter of the service there."""

    host: Host
    kind: Literal["laptop", "container"]
    home: Path | None
    python: str

    @property
    def layout(self) -> Layout:
        assert self.home is not None
        return Layout(self.home)

    @property
    def state(self) -> LaptopState:
        state = load_state(self.layout)
        assert state is not None
        return state

    @property
    def user(self) -> int:
        """Who everything of ours should run as: who owns the stack's folder, or the image's own user."""
        return int(self.host.file(str(self.home)).uid) if self.home else IMAGE_USER

    def processes(self) -> list[Process]:
        """Those of the stack, or all that are in the container but the one that looks."""
        rows = json.loads(self.host.check_output("%s -c %s", self.python, _PROCESSES))
        if self.home:
            rows = [row for row in rows if row["marks"].get(HOME_MARK) == str(self.home)]
        else:
            rows = [row for row in rows if _descends(row, rows)]  # what `exec` starts has no parent in there
        return [_process(row) for row in rows]

    def packages(self) -> tuple[str, dict[str, str]]:
        """Python's version there, and its packages with theirs."""
        said = json.loads(self.host.check_output("%s -c %s", self.python, _PACKAGES))
        return str(said["python_full_version"]), dict(said["packages"])


def _descends(row: dict[str, Any], rows: Sequence[dict[str, Any]]) -> bool:
    """Whether it is the container's first process or comes from it."""
    by_pid = {each["pid"]: each for each in rows}
    while row["pid"] != 1:
        if row["parent"] not in by_pid:
            return False
        row = by_pid[row["parent"]]
    return True


def _process(row: dict[str, Any]) -> Process:
    return Process(
        pid=row["pid"],
        parent=row["parent"],
        argv=tuple(row["argv"]),
        exe=row["exe"],
        uids=tuple(row["uids"]),
        capabilities=row["capabilities"],
        no_new_privileges=row["no_new_privileges"],
        part=row["marks"].get(PART_MARK, ""),
        listens=tuple((str(host), int(port)) for host, port in row["listens"]),
    )
