"""The pulumi command: the one on PATH with Pulumi's own language host, else the one that tools/pulumi pins, with ours (language_host.py)."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path
from typing import Final

import pytest

from tests.services import go_tools

HOST: Final = "pulumi-language-python"
_SCRIPT: Final = """#!/bin/sh
exec '{python}' -P '{host}' "$@"
"""


def present() -> bool:
    """Whether Pulumi itself is installed: its command and its language host."""
    return all(shutil.which(name) for name in ("pulumi", HOST))


def put_on_path(shell: pytest.MonkeyPatch, folder: Path) -> None:
    """Let `pulumi` be found by what this process starts. Without one on PATH: built once, and linked into `folder`."""
    if present():
        return
    program = go_tools.tool("pulumi")
    folder.mkdir(parents=True, exist_ok=True)
    command = folder / "pulumi"
    if not command.exists():  # Pulumi warns of a language host that is not beside it, and follows symbolic links
        try:
            os.link(program, command)
        except OSError:  # another file system
            shutil.copy(program, command)
        host = folder / HOST
        host.write_text(_SCRIPT.format(python=sys.executable, host=Path(__file__).with_name("language_host.py")))
        host.chmod(0o755)
    shell.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")


if __name__ == "__main__":
    sys.exit(0 if present() else go_tools.main(["pulumi"]))
