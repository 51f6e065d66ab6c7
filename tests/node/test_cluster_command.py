"""`teal cluster up | status | down` as a person types it, and what is left after `kill -9` at several moments: nothing."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import pytest

from tests.node import machine, metrics, rehearsal, remains
from tests.node.node import await_true
from tests.services.go_tools import tool

pytestmark = pytest.mark.integration

COMMAND_SECONDS: Final = 300.0  # 163 s once, at idle priority on a machine at a load of 15
END_SECONDS: Final = 10.0
# After its start, in seconds, which takes 11 on two quiet cores: at the machine's, at the API server's, at the pods' programs.
MOMENTS: Final = (0.3, 3.0, 7.0)


@dataclass
class Command:
    folder: Path

    def start(self, *words: str) -> subprocess.Popen[str]:
        environ = {**os.environ, "TEAL_CLUSTER_FOLDER": str(self.folder)}
        return subprocess.Popen(
            [sys.executable, "-m", "teal", "cluster", *words, "--json"], env=environ, stdout=subprocess.PIPE, text=True
        )

    def __call__(self, *words: str) -> tuple[int, list[dict[str, Any]]]:
        with self.start(*words) as running:
            said, _ = running.communicate(timeout=COMMAND_SECONDS)
        return running.returncode, [json.loads(line) for line in said.splitlines()]

    def begun(self) -> int:
        """The number of the process in the background, as it said it."""
        await_true(
            lambda: (self.folder / "log").exists() and (self.folder / "log").read_text().count("\n"), "the log", COMMAND_SECONDS
        )
        pid: int = json.loads((self.folder / "log").read_text().splitlines()[0])["pid"]
        return pid


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[Command]:
    machine.require_machine()
    for name in rehearsal.PROGRAMS:
        tool(name)
    command = Command(tmp_path / "cluster")
    yield command
    assert command("down")[0] == 0


def _traces(pid: int) -> list[str]:
    """What there is of a cluster whose process had this number."""
    mounts = [line for line in Path("/proc/self/mounts").read_text().splitlines() if f"{remains.PREFIX}{pid}" in line]
    name = f"{remains.PREFIX}{pid}-*"
    cgroups = [*Path("/sys/fs/cgroup").glob(name), *Path("/sys/fs/cgroup").glob(f"*/{name}")]
    return [*mounts, *map(str, (*cgroups, *Path("/tmp").glob(name)))]


def _inside(namespace: str) -> list[Path]:
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            if os.readlink(entry / "ns" / "pid") == namespace:
                found.append(entry)
        except OSError:
            continue  # it ended meanwhile
    return found


def test_up_is_ready_soon_answers_for_itself_and_down_leaves_nothing(cluster: Command) -> None:
    began = time.monotonic()
    code, events = cluster("up")
    took = time.monotonic() - began
    ready = events[-1]
    print(f"up after {took:.1f} s, ready after {ready['seconds']} s")  # how long it may take is held by test_service.py
    assert (code, ready["step"]) == (0, "ready")
    namespace, pid = os.readlink(f"/proc/{ready['pid']}/ns/pid"), cluster.begun()
    assert cluster("up")[1][-1] == ready
    assert cluster("up", "--nodes", "2")[0] == 3
    code, (found,) = cluster("status")
    assert (code, found["healthy"], [row["part"] for row in found["rows"]]) == (0, True, ["API server", "node", "names", "pods"])
    assert cluster("down")[0] == 0
    assert (_inside(namespace), _traces(pid), cluster.folder.exists()) == ([], [], False)
    assert cluster("status")[0] == 1


@pytest.mark.weekly
def test_with_metrics_an_autoscaler_and_kubectl_top_have_numbers(cluster: Command) -> None:
    tool(metrics.NAME)
    code, events = cluster("up", "--metrics")
    assert (code, events[-1]["step"]) == (0, "ready")
    assert cluster("up")[0] == 3
    code, (found,) = cluster("status")
    assert (code, {row["part"]: row["detail"] for row in found["rows"]}["metrics"]) == (0, "of node")


@pytest.mark.weekly
def test_a_cluster_killed_at_any_moment_is_gone_and_the_next_up_works(cluster: Command) -> None:
    for moment in MOMENTS:
        with cluster.start("up") as starting:
            pid = cluster.begun()
            time.sleep(moment)
            starting.kill()  # the command alone: the cluster goes on
            assert Path(f"/proc/{pid}").exists()
        os.kill(pid, signal.SIGKILL)
        await_true(lambda gone=pid: not Path(f"/proc/{gone}").exists(), "the end of it", END_SECONDS)
        code, (found,) = cluster("status")
        assert (code, found["rows"][0]["detail"]) == (1, "not running")
        (cluster.folder / "log").unlink()  # so that `begun` waits for the next one's
    code, events = cluster("up")
    assert (code, events[-1]["step"]) == (0, "ready")
    last = cluster.begun()
    os.kill(last, signal.SIGKILL)
    assert cluster("down")[0] == 0
    assert (_traces(last), remains.left(), cluster.folder.exists()) == ([], [], False)
