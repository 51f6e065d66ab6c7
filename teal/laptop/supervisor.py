"""Configures, starts and stops supervisord, and asks it about the parts (XML-RPC over a unix socket)."""

from __future__ import annotations

import os
import shlex
import socket
import subprocess
import sys
import time
import xmlrpc.client
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from supervisor.xmlrpc import SupervisorTransport, UnixStreamHTTPConnection

from teal.errors import PartFailed, StackDown
from teal.laptop import child
from teal.laptop.files import write_private
from teal.laptop.layout import Layout
from teal.laptop.limits import LEAST_FILES, raise_limit
from teal.laptop.marks import HOME_MARK, PART_MARK
from teal.laptop.program import Program, file_of
from teal.laptop.reap import wait_gone

START_SECONDS = 20.0  # supervisord itself: a second on an idle laptop
STOP_SECONDS = 60.0  # longer than the longest stop_seconds of a part
STEP_SECONDS = 0.1
ANSWER_SECONDS = 10.0  # no call waits for a part; a response takes milliseconds, or a second on a machine that swaps


@dataclass(frozen=True, slots=True)
class SupervisedProcess:
    """One part as supervisord sees it. `state`: RUNNING, STARTING, STOPPED, EXITED, BACKOFF, FATAL, STOPPING, UNKNOWN."""

    name: str
    state: str
    pid: int
    detail: str


def supervisord_conf(layout: Layout, programs: Sequence[Program]) -> str:
    """supervisord.conf. It holds no secret: each program's environment is in `conf/parts/NAME.json` (mode 0600)."""

    def value(text: str) -> str:
        return text.replace("%", "%%")

    lines = [
        "[supervisord]",
        f"logfile={value(str(layout.logs / 'supervisord.log'))}",
        "logfile_maxbytes=5MB",
        "logfile_backups=2",
        f"pidfile={value(str(layout.pidfile))}",
        f"childlogdir={value(str(layout.logs))}",
        f"directory={value(str(layout.home))}",
        "umask=077",
        f"minfds={LEAST_FILES}",  # its default of 1024 would fail under a lower limit, which `limits.raise_limit` raises if it can
        "",
        "[unix_http_server]",
        f"file={value(str(layout.socket))}",
        "chmod=0600",
        "",
        "[rpcinterface:supervisor]",
        "supervisor.rpcinterface_factory=supervisor.rpcinterface:make_main_rpcinterface",
    ]
    for program in programs:
        command = shlex.join((sys.executable, "-I", child.__file__, str(file_of(layout, program.name))))
        lines += [
            "",
            f"[program:{program.name}]",
            f"command={value(command)}",
            "autostart=false",  # `teal up` starts them in order
            f"autorestart={'false' if program.once else 'true'}",
            f"startsecs={0 if program.once else 1}",
            "startretries=10",  # with supervisor's growing pauses: about a minute of tries before FATAL
            f"stopwaitsecs={program.stop_seconds}",
            "killasgroup=true",
            "redirect_stderr=true",
            f"stdout_logfile={value(str(layout.logs / f'{program.name}.out.log'))}",
            "stdout_logfile_maxbytes=5MB",
            "stdout_logfile_backups=2",
        ]
    return "\n".join(lines) + "\n"


class _Connection(UnixStreamHTTPConnection):  # type: ignore[misc]
    """supervisor's own connection with a time limit, without which it waits for a frozen supervisord for ever."""

    def __init__(self, path: Path) -> None:
        super().__init__("localhost")
        self.socketfile = str(path)

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(ANSWER_SECONDS)
        self.sock.connect(self.socketfile)


@contextmanager
def open_rpc(layout: Layout) -> Iterator[Any]:
    transport = SupervisorTransport(None, None, f"unix://{layout.socket}")
    transport._get_connection = lambda: _Connection(layout.socket)
    try:
        yield xmlrpc.client.ServerProxy("http://127.0.0.1", transport=transport).supervisor
    finally:
        transport.close()


def is_up(layout: Layout) -> bool:
    """Whether supervisord of this stack answers."""
    if not layout.socket.exists():
        return False
    try:
        with open_rpc(layout) as rpc:
            return bool(rpc.getState()["statename"] == "RUNNING")
    except (OSError, xmlrpc.client.Error, ValueError):
        return False


def is_there(layout: Layout) -> bool:
    """Whether a supervisord has the socket open, even if it does not answer: the parts of a frozen supervisord go on serving."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.settimeout(ANSWER_SECONDS)
        try:
            probe.connect(str(layout.socket))
        except OSError:
            return False
    return True


def start_supervisord(layout: Layout, environ: Mapping[str, str]) -> None:
    """Start supervisord as a daemon; returns when it answers. It starts no part by itself."""
    raise_limit()
    for stale in (layout.socket, layout.pidfile):
        stale.unlink(missing_ok=True)
    env = {**environ, HOME_MARK: str(layout.home), PART_MARK: "supervisord"}
    command = (sys.executable, "-m", "supervisor.supervisord", "-c", str(layout.conf / "supervisord.conf"))
    try:
        ended = subprocess.run(  # noqa: S603
            command, env=env, cwd=layout.home, capture_output=True, text=True, timeout=START_SECONDS, check=False
        )
    except subprocess.TimeoutExpired as error:
        raise PartFailed(
            "supervisord", f"did not start within {START_SECONDS:.0f} s", log=str(layout.logs / "supervisord.log")
        ) from error
    deadline = time.monotonic() + START_SECONDS
    while ended.returncode == 0 and time.monotonic() < deadline:
        if is_up(layout):
            return
        time.sleep(STEP_SECONDS)
    reason = (ended.stderr or ended.stdout).strip().splitlines()
    raise PartFailed("supervisord", reason[-1] if reason else "it does not answer", log=str(layout.logs / "supervisord.log"))


def processes(layout: Layout) -> dict[str, SupervisedProcess]:
    """Every part by name. Raises StackDown when supervisord does not answer."""
    try:
        with open_rpc(layout) as rpc:
            rows = cast("list[dict[str, Any]]", rpc.getAllProcessInfo())
    except (OSError, xmlrpc.client.Error, ValueError) as error:
        raise StackDown(str(layout.socket)) from error
    return {
        row["name"]: SupervisedProcess(row["name"], row["statename"], row["pid"], row["spawnerr"] or row["description"])
        for row in rows
    }


def is_running(layout: Layout, name: str) -> bool:
    """Whether the program runs or is being started."""
    return processes(layout)[name].state in ("RUNNING", "STARTING")


def start_part(layout: Layout, name: str) -> bool:
    """Start one part without waiting; False when it runs already."""
    if is_running(layout, name):
        return False
    with open_rpc(layout) as rpc:
        try:
            rpc.startProcess(name, False)
        except xmlrpc.client.Fault as fault:
            if "ALREADY_STARTED" in fault.faultString:
                return False
            raise PartFailed(name, fault.faultString, log=str(layout.logs / f"{name}.out.log")) from fault
    return True


def stop_part(layout: Layout, name: str) -> bool:
    """Ask one part to end, without waiting; False when it does not run."""
    if processes(layout)[name].state not in ("RUNNING", "STARTING", "BACKOFF"):
        return False
    with open_rpc(layout) as rpc:
        try:
            rpc.stopProcess(name, False)
        except xmlrpc.client.Fault as fault:
            if "NOT_RUNNING" in fault.faultString:
                return False
            raise PartFailed(name, fault.faultString, log=str(layout.logs / f"{name}.out.log")) from fault
    return True


def mend_pidfile(layout: Layout) -> None:
    """Write supervisord's pid file again if it differs from the pid that supervisord reports.
    The keeper and each starting part read it."""
    try:
        with open_rpc(layout) as rpc:
            pid = int(rpc.getPID())
    except (OSError, xmlrpc.client.Error, ValueError) as error:
        raise StackDown(str(layout.socket)) from error
    try:
        noted = layout.pidfile.read_text(encoding="utf-8", errors="replace").strip()
    except OSError:
        noted = ""
    if noted != str(pid):
        write_private(layout.pidfile, f"{pid}\n")


def stop_supervisord(layout: Layout) -> None:
    """End every part at once, then supervisord; returns when its process is gone.
    The parts drain at the same time; Caddy accepts no new requests."""
    try:
        with open_rpc(layout) as rpc:
            pid = int(rpc.getPID())
            rpc.stopAllProcesses(False)  # at its own shutdown supervisord would wait for one after the other
            rpc.shutdown()
    except (OSError, xmlrpc.client.Error, ValueError) as error:
        raise StackDown(str(layout.socket)) from error
    if not wait_gone(pid, STOP_SECONDS):
        raise PartFailed("supervisord", f"did not end within {STOP_SECONDS:.0f} s", log=str(layout.logs / "supervisord.log"))


def log_tail(path: Path, lines: int = 1) -> str:
    """The last lines of a log, for an error's reason."""
    try:
        with path.open("rb") as file:
            file.seek(max(0, os.fstat(file.fileno()).st_size - 8192))
            return "\n".join(file.read().decode("utf-8", "replace").strip().splitlines()[-lines:])
    except OSError:
        return ""
