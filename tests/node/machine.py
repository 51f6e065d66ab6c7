"""A machine within this one, for a Kubernetes node: namespaces of its own for network, mounts and processes, and cgroups of its own.

Everything in it ends with its first process, which ends with this one, however it ends: the kernel kills what is in a process namespace whose
first process is gone, and drops its mounts, its network and its temporary file systems. Only empty cgroups and a folder of logs can stay;
the next start removes those whose owner is gone.
"""

from __future__ import annotations

import ctypes
import itertools
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Final

from tests.node import remains
from tests.node.remains import PREFIX, TEMPORARY
from tests.services.required import require

# As in the VPC of the stack dev (infra/platform/network/addresses.py), because network policies name its networks.
ADDRESS: Final = "10.40.0.10"  # the node's, in the first private subnet
STORES: Final = "10.40.240.10"  # of what stands in for RDS and ElastiCache, in the first subnet of stores
_START_SECONDS: Final = 20.0  # a tenth of one alone
_ASKED_SECONDS: Final = 5.0  # a program that was asked to end is killed then; all of a node's end within one
_STARTED: Final = itertools.count()  # two of one process are told apart
NEW_NETWORK: Final = 0x40000000  # CLONE_NEWNET of <sched.h>; os.setns came with Python 3.12
# Where programs of a node keep what they have. Temporary file systems take their place, so that default paths can be used and nothing stays.
_FOLDERS: Final = ("/run", "/var/lib", "/var/log")
# What kubelet wants of the kernel it would set for the whole machine. It finds these files in the place of the kernel's, and leaves them.
_KERNEL: Final = {
    "vm/overcommit_memory": "1", "vm/panic_on_oom": "0", "kernel/panic": "10", "kernel/panic_on_oops": "1",
    "kernel/keys/root_maxkeys": "1000000", "kernel/keys/root_maxbytes": "25000000",
}  # fmt: skip
_TOOLS: Final = {
    "unshare": "util-linux", "nsenter": "util-linux", "setpriv": "util-linux", "mount": "mount", "ip": "iproute2",
    "iptables": "iptables", "conntrack": "conntrack", "containerd": "containerd", "runc": "runc",
    "/usr/lib/cni/bridge": "containernetworking-plugins",
}  # fmt: skip


@dataclass(frozen=True)
class Machine:
    """`pid`: its first process, as the outer machine counts. `folder`: what both see under the same path. `cgroup`: the name of its own.
    `address`: in the network of the nodes."""

    pid: int
    folder: Path
    cgroup: str
    address: str = ADDRESS

    @property
    def root(self) -> Path:
        """Its file system, seen from outside."""
        return Path(f"/proc/{self.pid}/root")

    def command(self, *words: str) -> list[str]:
        """The words as a command that runs inside."""
        return ["nsenter", f"--target={self.pid}", "--net", "--mount", "--pid", "--", *words]

    def run(self, *words: str, seconds: float = 60.0) -> str:
        """What the command printed. Raises with what it said where it fails."""
        return _run(self.command(*words), seconds)

    @contextmanager
    def program(self, *words: str, said: IO[bytes]) -> Iterator[int]:
        """The words as a program that runs inside until the block ends; its number, as the outer machine counts. At the end it is asked to end,
        killed where it does not, and waited for. Raises RuntimeError where it has ended before anybody could look."""
        leading = subprocess.Popen(self.command(*words), stdout=said, stderr=said, stdin=subprocess.DEVNULL)
        with ExitStack() as undone:
            undone.callback(leading.wait, remains.STOP_SECONDS)
            undone.callback(leading.kill)
            number = _child(leading)  # nsenter starts it, and ends when it has
            program = os.pidfd_open(number)
            undone.callback(os.close, program)
            undone.callback(_end_program, leading, program)
            yield number

    @contextmanager
    def rule(self, *words: str, table: str = "filter", first: bool = True) -> Iterator[None]:
        """A rule of iptables, before those that are there or after them, until the block ends."""
        self.run("iptables", "--table", table, "--insert" if first else "--append", *words)
        try:
            yield
        finally:
            self.run("iptables", "--table", table, "--delete", *words)


def require_machine() -> None:
    """Skip (fail in CI) where no such machine can be made."""
    require("Linux", "A node's namespaces and cgroups are Linux's.", sys.platform == "linux")
    require("root", "A node needs namespaces, mounts and cgroups: sudo make test-node.", os.geteuid() == 0)
    missing = missing_packages()
    require("what a node is made of", f"apt-get install {' '.join(missing)}.", not missing)


def missing_packages() -> list[str]:
    """Of Debian, by name."""
    return sorted({package for tool, package in _TOOLS.items() if shutil.which(tool) is None})


@contextmanager
def start(folder: Path, first: Path) -> Iterator[Machine]:
    """`first`: the program of the first process; it must reap what is left to it. `folder`: empty, for files that both sides see.
    This thread is in its network until the end."""
    with _made(folder, first, ADDRESS, "node") as machine, inside(machine):
        for words in (
            ("ip", "link", "set", "lo", "up"),
            ("ip", "link", "add", "node0", "type", "bridge"),  # not every kernel has dummy devices
            ("ip", "address", "add", f"{ADDRESS}/18", "dev", "node0"),
            ("ip", "address", "add", f"{STORES}/22", "dev", "node0"),
            ("ip", "link", "set", "node0", "up"),
            (
                "ip",
                "route",
                "add",
                "default",
                "dev",
                "node0",
            ),  # without it the kernel asks no rule of kube-proxy's about a Service
            ("sysctl", "-qw", "net.ipv4.ip_forward=1"),
        ):
            machine.run(*words)
        yield machine


@contextmanager
def start_beside(other: Machine, folder: Path, first: Path, address: str, name: str) -> Iterator[Machine]:
    """A second machine in a network of its own, joined to the bridge of `other` by a cable. This thread stays where it is."""
    with _made(folder, first, address, name) as machine:
        cable = ("ip", "link", "add", name, "type", "veth", "peer", "name", "node0", "netns", str(machine.pid))
        for words in (cable, ("ip", "link", "set", name, "master", "node0"), ("ip", "link", "set", name, "up")):
            _run(["nsenter", f"--target={other.pid}", "--net", "--", *words])  # by the outer machine's numbers of processes
        for words in (
            ("ip", "link", "set", "lo", "up"),
            ("ip", "address", "add", f"{address}/18", "dev", "node0"),
            ("ip", "link", "set", "node0", "up"),
            ("ip", "route", "add", "default", "via", other.address),
            ("sysctl", "-qw", "net.ipv4.ip_forward=1"),
        ):
            machine.run(*words)
        yield machine  # the kernel removes the cable with its network


@contextmanager
def _made(folder: Path, first: Path, address: str, host: str) -> Iterator[Machine]:
    """With a network in which nothing is."""
    remains.sweep()
    name = f"{PREFIX}{os.getpid()}-{next(_STARTED)}"
    with ExitStack() as undone:
        undone.callback(remains.sweep, ended=name)
        remains.make_cgroups(name)
        holder = undone.enter_context(_holder(folder, first, f"{address} {host}"))
        machine = Machine(_child(holder), folder, name, address)
        _wait_for(folder / "mounted", holder)
        yield machine


@contextmanager
def inside(machine: Machine) -> Iterator[None]:
    """This thread's sockets, and the processes that it starts, are in the machine's network until the end."""
    with network(Path(f"/proc/{machine.pid}/ns/net")):
        yield


@contextmanager
def network(path: Path) -> Iterator[None]:
    """The same with any network that has a file."""
    own = os.open("/proc/thread-self/ns/net", os.O_RDONLY)
    other = os.open(path, os.O_RDONLY)
    try:
        _enter(other)
        yield
    finally:
        _enter(own)
        os.close(own)
        os.close(other)


@contextmanager
def folder_of_its_own() -> Iterator[Path]:
    """For `start`, gone at the end. Its path is short, because a socket's has at most 107 characters."""
    with tempfile.TemporaryDirectory(prefix=f"{PREFIX}{os.getpid()}-", dir=TEMPORARY) as created:
        yield Path(created)


def _run(command: list[str], seconds: float = 60.0) -> str:
    ended = subprocess.run(command, capture_output=True, text=True, timeout=seconds, check=False)
    if ended.returncode:
        said = ended.stderr.strip()[-1000:]
        raise RuntimeError(f"{' '.join(command[command.index('--') + 1 :][:4])} ended with {ended.returncode}: {said}")
    return ended.stdout


@contextmanager
def _holder(folder: Path, first: Path, host: str) -> Iterator[subprocess.Popen[bytes]]:
    (folder / "hosts").write_text(f"127.0.0.1 localhost\n{host}\n")
    (folder / "resolv.conf").write_text("")
    lines = ["set -e", f"mkdir {folder}/kernel"]
    lines += [f"mount -t tmpfs -o mode=755 tmpfs {path}" for path in _FOLDERS]
    lines += [f"mount --bind {folder}/{name} /etc/{name}" for name in ("hosts", "resolv.conf")]
    for number, (name, value) in enumerate(_KERNEL.items()):
        stand_in = f"{folder}/kernel/{number}"
        lines += [f"echo {value} >{stand_in}", f"if [ -e /proc/sys/{name} ]; then mount --bind {stand_in} /proc/sys/{name}; fi"]
    lines += ["mount --make-rshared /", f"touch {folder}/mounted", f"exec {first}"]
    words = [
        "setpriv",
        "--pdeathsig",
        "KILL",
        "unshare",
        "--net",
        "--mount",
        "--pid",
        "--fork",
        "--kill-child=KILL",
        "--mount-proc",
    ]
    with (folder / "machine.log").open("wb") as said, subprocess.Popen(
        [*words, "sh", "-c", "\n".join(lines)], stdout=said, stderr=said, stdin=subprocess.DEVNULL
    ) as process:  # fmt: skip
        try:
            yield process
        finally:
            _end(process)


def _end(holder: subprocess.Popen[bytes]) -> None:
    """Kill the first process, and with it, by the kernel, everything in the machine. Its parent, the holder, takes note and ends: were that killed
    before it, an ended process would stay in the outer machine's table until somebody else takes note of it."""
    with suppress(OSError, IndexError):  # it has ended
        first = os.pidfd_open(int(_children(holder).read_text().split()[0]))
        try:
            signal.pidfd_send_signal(first, signal.SIGKILL)
            with suppress(subprocess.TimeoutExpired):
                holder.wait(remains.STOP_SECONDS)
        finally:
            os.close(first)
    holder.kill()


def _end_program(leading: subprocess.Popen[bytes], program: int) -> None:
    """`leading`: nsenter, which ends after it. A signal to nsenter would not reach the program."""
    for asked, seconds in ((signal.SIGTERM, _ASKED_SECONDS), (signal.SIGKILL, remains.STOP_SECONDS)):
        with suppress(ProcessLookupError):  # it has ended
            signal.pidfd_send_signal(program, asked)
        with suppress(subprocess.TimeoutExpired):
            leading.wait(seconds)
            return


def _children(holder: subprocess.Popen[bytes]) -> Path:
    return Path(f"/proc/{holder.pid}/task/{holder.pid}/children")


def _child(holder: subprocess.Popen[bytes]) -> int:
    """The process that the holder made: of a machine, the first one in it."""
    children = _children(holder)
    deadline = time.monotonic() + _START_SECONDS
    while time.monotonic() < deadline and holder.poll() is None:
        if found := children.read_text().split():
            return int(found[0])
        time.sleep(0.01)
    raise RuntimeError(f"{' '.join(map(str, holder.args))[:200]}: it made no process, or that one has ended")


def _wait_for(file: Path, holder: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + _START_SECONDS
    while not file.exists():
        if holder.poll() is not None or time.monotonic() > deadline:
            raise RuntimeError(f"the machine's mounts failed: {(file.parent / 'machine.log').read_text()[-500:]}")
        time.sleep(0.01)


def _enter(namespace: int) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.setns(namespace, NEW_NETWORK):
        raise OSError(ctypes.get_errno(), "setns")
