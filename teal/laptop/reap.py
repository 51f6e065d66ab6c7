"""Finds and ends the processes that an earlier run of this stack left behind, and no others."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass

import psutil

from teal.laptop.layout import Layout
from teal.laptop.marks import HOME_MARK, PART_MARK

FIRST = ("keeper", "supervisord")
TERM_SECONDS = 5.0  # how long a part without its supervisord may take to end in an orderly way


@dataclass(frozen=True, slots=True)
class LeftoverProcess:
    """A process that carries this stack's mark in its environment."""

    pid: int
    part: str
    command: str


def is_home(mark: str | None, layout: Layout) -> bool:
    """Whether a mark names this stack's folder, also by another path to it."""
    return mark is not None and (mark == str(layout.home) or os.path.realpath(mark) == os.path.realpath(layout.home))


def find_leftovers(layout: Layout) -> list[LeftoverProcess]:
    """Processes that this `.teal/` started. They are recognised by a mark that only the stack's supervisord sets, so an editor or
    a `tail` of a file in the folder, or a shell with TEAL_HOME, is never among them."""
    found = []
    for process in psutil.process_iter():
        try:
            environ = process.environ()
            if is_home(environ.get(HOME_MARK), layout) and process.pid != os.getpid():
                found.append(LeftoverProcess(process.pid, environ.get(PART_MARK, "?"), " ".join(process.cmdline())[:120]))
        except (psutil.Error, OSError):
            continue  # it has ended or belongs to another user
    return found


def end_leftovers(layout: Layout) -> list[LeftoverProcess]:
    """End the leftovers and nothing else. A supervisord among them is ended first, because it would restart the others.
    Returns the ended ones."""
    found = sorted(find_leftovers(layout), key=lambda each: FIRST.index(each.part) if each.part in FIRST else len(FIRST))
    end_processes([each.pid for each in found], layout)
    return found


def end_processes(pids: Sequence[int], layout: Layout) -> None:
    """End these processes of this stack: ask each, and kill those that do not end in time."""
    alive = []
    for pid in pids:
        try:
            process = psutil.Process(pid)  # remembers the creation time: a reused pid is another process
            if is_home(process.environ().get(HOME_MARK), layout):
                process.terminate()
                alive.append(process)
        except psutil.Error:
            continue
    _, stubborn = psutil.wait_procs(alive, timeout=TERM_SECONDS)
    for process in stubborn:
        try:
            process.kill()
        except psutil.Error:
            continue
    psutil.wait_procs(stubborn, timeout=TERM_SECONDS)


def wait_gone(pid: int, seconds: float) -> bool:
    """Whether the process ended within that time."""
    try:
        psutil.Process(pid).wait(timeout=seconds)
    except psutil.NoSuchProcess:
        return True
    except psutil.TimeoutExpired:
        return False
    return True


def is_ours(layout: Layout, process: psutil.Process) -> bool:
    """Whether this stack started the process."""
    try:
        return is_home(process.environ().get(HOME_MARK), layout)
    except (psutil.Error, OSError):
        return False
