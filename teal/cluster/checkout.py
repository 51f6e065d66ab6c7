"""What `teal cluster` needs of the machine and of this installation, refused in words before anything is started.

The node's code is in tests/node, because its tests are what keeps it right, and a rehearsal needs a checkout anyway: the programs' Go modules in
tools/, and the image's sources. So the command runs `python -m tests.node` of the checkout that it is installed from
(docs/decisions/0011-real-api-server-in-tests.md).
"""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import teal
from teal.errors import BadInput, OperatorError

_PROGRAM: Final = "tests.node"
_NEEDED: Final = ("pytest", "cryptography", "httpx")  # what that imports and a plain installation may lack
_MAKE: Final = "make .venv/.installed-dev"


def require_checkout() -> Path:
    """The folder of the checkout. Raises BadInput where there is none, where its packages are missing, without root and without Linux."""
    if sys.platform != "linux":
        raise BadInput(
            "A cluster needs Linux: its node is made of namespaces and cgroups",
            where=sys.platform,
            next="the same command in a virtual machine with Debian 12",
        )
    if os.geteuid() != 0:
        raise BadInput(
            "A cluster needs root: its node is made of namespaces, mounts and cgroups",
            where="teal cluster",
            next=f"sudo {sys.argv[0]} cluster up",
        )
    checkout = Path(teal.__file__).resolve().parents[1]
    if not (checkout / "tests" / "node" / "__main__.py").is_file() or not (checkout / "tools").is_dir():
        raise BadInput(
            "A cluster is built from a checkout of Teal, and this installation is none",
            where=str(checkout),
            next="git clone the repository, make .venv/.installed-dev in it, and there: sudo .venv/bin/teal cluster up",
        )
    if missing := [name for name in _NEEDED if importlib.util.find_spec(name) is None]:
        raise BadInput(f"Packages of the tests are missing: {', '.join(missing)}", where=str(checkout), next=_MAKE)
    return checkout


def command(*arguments: str) -> list[str]:
    """A command of the node's program."""
    return [sys.executable, "-m", _PROGRAM, *arguments]


def ask(checkout: Path, *arguments: str, seconds: float) -> Iterator[dict[str, Any]]:
    """The JSON lines that a command of the node's program prints. Raises OperatorError where it fails."""
    try:
        ended = subprocess.run(  # noqa: S603
            command(*arguments),
            cwd=checkout,
            capture_output=True,
            text=True,
            timeout=seconds,
            check=False,
            stdin=subprocess.DEVNULL,
        )
    except subprocess.TimeoutExpired as error:
        raise OperatorError(
            f"No answer within {seconds:.0f} s", where=f"python -m {_PROGRAM} {arguments[0]}", next="sudo teal cluster down"
        ) from error
    if ended.returncode:
        said = (ended.stderr.strip().splitlines() or ["nothing was said"])[-1]
        raise OperatorError(said, where=f"python -m {_PROGRAM} {arguments[0]}", next="sudo teal cluster down")
    for line in ended.stdout.splitlines():
        yield json.loads(line)
