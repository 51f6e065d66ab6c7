"""Turns into one part of the stack by exec, after asking the kernel to kill this process when supervisord dies.

Run as a script by supervisord: `python -I child.py PART.json`. It imports only the standard library, so that a start is quick. A
supervisord that was killed by SIGKILL cannot stop its children; without this they would keep ports and files.
"""

from __future__ import annotations

import ctypes
import json
import os
import signal
import sys
from pathlib import Path
from typing import Any

PR_SET_PDEATHSIG = 1  # linux/prctl.h


def become_user(name: str) -> None:
    """Give up root for good."""
    import pwd

    user = pwd.getpwnam(name)
    os.initgroups(name, user.pw_gid)
    os.setgid(user.pw_gid)
    os.setuid(user.pw_uid)


def die_with_parent() -> bool:
    """Ask for SIGKILL at the parent's death. False where the kernel has no prctl (not Linux)."""
    try:
        prctl = ctypes.CDLL(None, use_errno=True).prctl
    except (AttributeError, OSError):
        return False
    return int(prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)) == 0


def is_orphaned(pidfile: str) -> bool:
    """Whether supervisord died before `die_with_parent` took effect: then the kernel never sends the signal."""
    try:
        return os.getppid() != int(Path(pidfile).read_text())
    except (OSError, ValueError):
        return os.getppid() == 1


def main(path: str) -> None:
    part: dict[str, Any] = json.loads(Path(path).read_text(encoding="utf-8"))
    is_orphan = is_orphaned(part["pidfile"])  # read before the change of user, which may forbid it
    parent = os.getppid()
    os.chdir(part["cwd"])
    os.nice(part.get("nice", 0))  # a file that was written before this setting existed has none
    if part["user"] and os.getuid() == 0:
        become_user(part["user"])
    die_with_parent()  # after the change of user, which clears this request; exec keeps it
    if is_orphan or os.getppid() != parent:
        sys.exit(f"supervisord is gone: {part['argv'][0]} not started")
    os.execve(part["argv"][0], part["argv"], part["env"])  # noqa: S606


if __name__ == "__main__":
    main(sys.argv[1])
