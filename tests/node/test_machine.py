"""What the node runs on ends with who started it, and changes nothing around it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.node import machine, remains
from tests.node.machine import Machine
from tests.node.node import await_true, process
from tests.services.go_tools import tool

pytestmark = pytest.mark.integration

STARTS = """
import os, sys
from pathlib import Path
from tests.node import machine, remains
with machine.folder_of_its_own() as folder, machine.start(folder, Path(sys.argv[1])) as made:
    made.run("sh", "-c", "setsid sleep 600 >/dev/null 2>&1 &")  # as a container's shim: nobody's child
    print(made.pid, flush=True)
    sys.stdin.read()
"""
END_SECONDS = 10.0


def _seen_outside(pid: int) -> list[str]:
    """What there is of it in this machine's own network and mounts; other tests change both meanwhile."""
    links = subprocess.run(["ip", "-brief", "link"], capture_output=True, text=True, check=True).stdout
    mounts = Path("/proc/self/mounts").read_text()
    return [line for line in (links + mounts).splitlines() if line.startswith("node0") or f"{remains.PREFIX}{pid}" in line]


def _settings() -> list[str]:
    """Those of the kernel that kubelet would change."""
    return [Path("/proc/sys", name).read_text() for name in ("vm/overcommit_memory", "kernel/panic", "kernel/panic_on_oops")]


def _inside(namespace: str) -> list[str]:
    """Processes of a process namespace."""
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            if os.readlink(entry / "ns" / "pid") == namespace:
                found.append((entry / "comm").read_text().strip())
        except OSError:
            continue  # it ended meanwhile
    return found


def test_a_killed_start_leaves_no_process_mount_or_network_and_the_next_one_removes_what_else_there_is() -> None:
    machine.require_machine()
    first = tool("pause")
    before = _settings()
    command = [sys.executable, "-c", STARTS, str(first)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as started:
        assert started.stdout is not None
        namespace = os.readlink(f"/proc/{started.stdout.readline().strip()}/ns/pid")
        await_true(lambda: "sleep" in _inside(namespace), "what was started in it", END_SECONDS)
        assert (_seen_outside(started.pid), _settings()) == ([], before)
        started.send_signal(signal.SIGKILL)
    await_true(lambda: not _inside(namespace), "processes of the killed machine", END_SECONDS)
    assert (_seen_outside(started.pid), _settings()) == ([], before)
    remains.sweep()
    name = f"{remains.PREFIX}{started.pid}*"
    assert not [*Path("/sys/fs/cgroup").glob(name), *Path("/sys/fs/cgroup").glob(f"*/{name}"), *Path("/tmp").glob(name)]


@pytest.fixture(scope="module")
def made() -> Iterator[Machine]:
    machine.require_machine()
    first = tool("pause")
    with machine.folder_of_its_own() as folder, machine.start(folder, first) as started:
        yield started


@pytest.mark.parametrize("words", ["exec sleep 600", "trap '' TERM; exec sleep 600"], ids=["ends when asked", "ends when killed"])
def test_a_program_of_the_node_has_ended_when_its_block_does(made: Machine, words: str) -> None:
    namespace = os.readlink(f"/proc/{made.pid}/ns/pid")
    with ExitStack() as running:
        number = process(made, "sleeper", ["env", "sh", "-c", words], running)
        await_true(lambda: "sleep" in _inside(namespace), "the program", END_SECONDS)
        assert os.readlink(f"/proc/{number}/ns/pid") == namespace
        assert _name(number) == "sleep"
        status = Path(f"/proc/{number}/status").read_text()
        inside = next(line.split()[-1] for line in status.splitlines() if line.startswith("NSpid:"))
        assert inside in made.run("ls", "/proc").split()
    assert not Path(f"/proc/{number}").exists()
    assert inside not in made.run("ls", "/proc").split()
    assert "sleep" not in _inside(namespace)


def test_a_program_that_ended_by_itself_is_no_fault_at_the_end(made: Machine) -> None:
    with ExitStack() as running:
        number = process(made, "short", ["sleep", "0.5"], running)
        await_true(lambda: not Path(f"/proc/{number}").exists(), "its own end", END_SECONDS)


def _name(number: int) -> str:
    return Path(f"/proc/{number}/comm").read_text().strip()
