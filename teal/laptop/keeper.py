"""Watches supervisord and has it started again when it dies.
A script with only the standard library, because it must outlive everything else.

`python -I keeper.py HOME PIDFILE`. The kernel ends every part with supervisord (`child.py`), so that nothing is left that holds ports;
this process then runs `python -m teal.laptop.revive HOME`, which starts supervisord and what it ran. `teal down` ends this process first.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

LOOK_SECONDS = 0.5
FIRST_PAUSE_SECONDS = 1.0  # after a revival that failed, doubled up to the longest
LONGEST_PAUSE_SECONDS = 60.0


def is_alive(pidfile: Path) -> bool:
    """Whether the process of the pid file runs. One that ended and was not waited for by its parent does not."""
    try:
        pid = int(pidfile.read_text())
        os.kill(pid, 0)
    except (OSError, ValueError):
        return False
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (OSError, IndexError):
        return not Path("/proc/self").exists()  # a system without /proc, or the process ended between two looks


def main(home: str, pidfile: str) -> None:
    """Watch until the folder is deleted or this process is ended."""
    pause = FIRST_PAUSE_SECONDS
    while Path(home).is_dir():
        if is_alive(Path(pidfile)):
            time.sleep(LOOK_SECONDS)
            continue
        done = subprocess.run((sys.executable, "-m", "teal.laptop.revive", home), cwd=home, check=False)  # noqa: S603
        if done.returncode == 0:
            pause = FIRST_PAUSE_SECONDS
        else:
            time.sleep(pause)
            pause = min(2 * pause, LONGEST_PAUSE_SECONDS)


if __name__ == "__main__":
    main(*sys.argv[1:3])
