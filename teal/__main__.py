"""Entry point of the `teal` command. Before anything else it removes Python's settings,
which the shell sets for the operator's own programs.

Otherwise a package named `contract`, or another version of pydantic, on PYTHONPATH would be imported instead of Teal's, and
PYTHONWARNINGS=error would end supervisord. This module imports only the standard library until then.
"""

from __future__ import annotations

import os
import sys
import sysconfig
from collections.abc import MutableMapping, MutableSequence
from pathlib import Path

# These two settings stay: they decide whether and where compiled code is kept, and have no effect on what Teal does.
KEPT = frozenset({"PYTHONDONTWRITEBYTECODE", "PYTHONPYCACHEPREFIX"})


def remove_python_settings(environ: MutableMapping[str, str], path: MutableSequence[str]) -> None:
    """Remove from `environ` the variables that only Python reads, and from `path` the folders that PYTHONPATH added.

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
