"""The `teal` command's entry: what the shell says to Python is meant for the operator's own programs, and is forgotten first.

A PYTHONPATH that holds a package named `contract` or another version of pydantic would be imported instead of Teal's; PYTHONWARNINGS=error
would end supervisord. Only what comes with Python itself is imported before that.
"""

from __future__ import annotations

import os
import sys
import sysconfig
from collections.abc import MutableMapping, MutableSequence
from pathlib import Path

# Where compiled code goes, and whether it is kept, changes nothing that Teal does.
KEPT = frozenset({"PYTHONDONTWRITEBYTECODE", "PYTHONPYCACHEPREFIX"})


def remove_python_settings(environ: MutableMapping[str, str], path: MutableSequence[str]) -> None:
    """Take the variables that only Python reads out of `environ`, and the folders that PYTHONPATH added out of `path`.

    An empty entry of PYTHONPATH is the current folder. This code's own folder stays, and so do the folders that Python searches without PYTHONPATH.
    """
    given = environ.get("PYTHONPATH", "")
    added = {os.path.abspath(entry) for entry in given.split(os.pathsep)} if given else set[str]()
    found = sysconfig.get_paths()
    kept = {Path(found[name]).resolve() for name in ("purelib", "platlib", "stdlib", "platstdlib")}
    kept |= {Path(__file__).resolve().parents[1], Path(found["stdlib"], "lib-dynload").resolve()}
    path[:] = [entry for entry in path if os.path.abspath(entry) not in added or Path(entry).resolve() in kept]
    for name in [name for name in environ if name.startswith("PYTHON") and name not in KEPT]:
        del environ[name]


def main() -> None:
    """Entry point of the `teal` command."""
    remove_python_settings(os.environ, sys.path)
    from teal.cli import main as command

    command()


if __name__ == "__main__":
    main()
