"""What a machine for a node can leave when it is killed: empty cgroups, and a folder of logs. Their names say whose they were."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Final

PREFIX: Final = "teal-node-"  # then the number of the process that owns it
TEMPORARY: Final = Path("/tmp")
STOP_SECONDS: Final = 20.0
# Without it all pods of a machine together got as much of a busy processor as one single process beside them, and answered nothing in time.
_PROCESSES: Final = 16  # as two web pods of each color, their workers, search's and a Job's threads would have outside
_SHARES: Final = {"cpu.shares": 1024 * _PROCESSES, "cpu.weight": 100 * _PROCESSES}  # cgroups of version 1, and of version 2


def sweep(ended: str = "") -> None:
    """Remove the cgroups and folders of machines whose owner is gone, and the cgroups of `ended`."""
    for hierarchy in _hierarchies():
        for one in hierarchy.glob(f"{PREFIX}*"):
            if one.name == ended or _abandoned(one.name):
                _remove(one)
    for one in TEMPORARY.glob(f"{PREFIX}*"):
        if _abandoned(one.name):
            shutil.rmtree(one, ignore_errors=True)


def left() -> list[str]:
    """What `sweep` would remove."""
    cgroups = [one for hierarchy in _hierarchies() for one in hierarchy.glob(f"{PREFIX}*")]
    return [str(one) for one in (*cgroups, *TEMPORARY.glob(f"{PREFIX}*")) if _abandoned(one.name)]


def _abandoned(name: str) -> bool:
    """Whether the process whose number is in the name is gone."""
    return not Path("/proc", name.removeprefix(PREFIX).partition("-")[0]).exists()


def _remove(cgroup: Path) -> None:
    """The folder and those in it, innermost first; killed processes leave them a moment later."""
    deadline = time.monotonic() + STOP_SECONDS
    while cgroup.exists():
        for path, _, _ in os.walk(cgroup, topdown=False):
            try:
                os.rmdir(path)
            except OSError:
                if time.monotonic() > deadline:
                    raise
        time.sleep(0.05)


def _hierarchies() -> Sequence[Path]:
    """One with version 2 of cgroups; with version 1 one for each controller, and often one of version 2 besides."""
    mounted = [line.split() for line in Path("/proc/mounts").read_text().splitlines()]
    return [Path(words[1]) for words in mounted if words[2] in ("cgroup", "cgroup2")]


def make_cgroups(name: str) -> None:
    for hierarchy in _hierarchies():
        made = hierarchy / name
        made.mkdir(exist_ok=True)
        for file, share in _SHARES.items():
            if (made / file).exists():
                (made / file).write_text(str(share))
        for file in ("cpuset.cpus", "cpuset.mems"):  # with version 1 nothing may join a group that has none
            if (made / file).exists():
                (made / file).write_text((hierarchy / file).read_text())
