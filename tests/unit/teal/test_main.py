"""The command forgets what the shell says to Python before it imports anything else."""

from __future__ import annotations

import os
from pathlib import Path

from teal import __main__ as entry


def test_what_the_shell_says_to_python_is_forgotten_and_nothing_else() -> None:
    own = str(Path(entry.__file__).parents[1])
    environ = {
        "PYTHONPATH": os.pathsep.join(("/opt/other/packages", own, "")), "PYTHONWARNINGS": "error", "PYTHONSTARTUP": "/home/me/startup.py",
        "PYTHONIOENCODING": "ascii", "PYTHONDONTWRITEBYTECODE": "1", "PYTHON_VERSION_OF_MINE": "3", "HOME": "/home/me", "TEAL_HOME": "/t",
    }  # fmt: skip
    path = ["/env/bin", "/opt/other/packages", own, "/usr/lib/python3", "/env/site-packages"]
    entry.remove_python_settings(environ, path)
    assert environ == {"PYTHONDONTWRITEBYTECODE": "1", "HOME": "/home/me", "TEAL_HOME": "/t"}
    assert path == ["/env/bin", own, "/usr/lib/python3", "/env/site-packages"], "this code's own folder stays"


def test_a_shell_that_says_nothing_to_python_changes_nothing() -> None:
    environ, path = {"HOME": "/home/me"}, ["", "/usr/lib/python3"]
    entry.remove_python_settings(environ, path)
    assert (environ, path) == ({"HOME": "/home/me"}, ["", "/usr/lib/python3"])
