"""The commands that work on AWS needs on this machine, and the oldest supported version of each."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from teal.errors import BadInput

_VERSION_SECONDS: Final = 30  # for a command to print its version; the aws command is Python, and slow on a busy machine


@dataclass(frozen=True, slots=True)
class Tool:
    """A command, and what cannot be done without it.
    `least`: the oldest version within each major one; `ask`: arguments that print its version."""

    command: str
    needed_for: str
    ask: tuple[str, ...]
    least: tuple[str, ...]


# 3.260 is the oldest version that these programs ran with (tests/engine); an older one fails half way with "unknown flag".
PULUMI: Final = Tool("pulumi", "it makes and changes everything on AWS", ("version",), ("3.260.0",))
# The cluster's kubeconfig calls `aws eks get-token` (infra/platform/cluster/kubeconfig.py), like the one that AWS generates.
# Versions: EKS user guide, "Create an Amazon EKS Auto Mode cluster", prerequisites.
AWS: Final = Tool("aws", "Pulumi signs in to the cluster with `aws eks get-token`", ("--version",), ("1.27.160", "2.12.3"))


@dataclass(frozen=True, slots=True)
class InstalledTool:
    """A tool as found on this machine. `version` is empty when the command printed none."""

    tool: Tool
    path: str | None
    version: str = ""

    @property
    def problem(self) -> str:
        """Why the tool cannot be used, in a sentence; empty when it can. A tool without a readable version is accepted."""
        if self.path is None:
            return f"The command {self.tool.command} is not here: {self.tool.needed_for}"
        if self.version and too_old(self.version, self.tool.least):
            return f"{self.tool.command} {self.version} is too old: {' or '.join(self.tool.least)} is the oldest that will do"
        return ""


def require(*tools: Tool, environ: Mapping[str, str] | None = None) -> None:
    """Raises BadInput that names each command that is not on PATH. Runs nothing."""
    path = (os.environ if environ is None else environ).get("PATH")
    _refuse([found for tool in tools if (found := InstalledTool(tool, shutil.which(tool.command, path=path))).problem])


def require_versions(*tools: Tool, environ: Mapping[str, str] | None = None) -> None:
    """Raises BadInput that names each command that is not on PATH or too old. Runs each to read its version."""
    _refuse([found for tool in tools if (found := find_tool(tool, environ)).problem])


def find_tool(tool: Tool, environ: Mapping[str, str] | None = None) -> InstalledTool:
    """Look for the tool on PATH and run it to read its version."""
    shell = os.environ if environ is None else environ
    path = shutil.which(tool.command, path=shell.get("PATH"))
    if path is None:
        return InstalledTool(tool, None)
    try:
        ended = subprocess.run(  # noqa: S603 - a command of the table above
            [path, *tool.ask], env=dict(shell), capture_output=True, text=True, timeout=_VERSION_SECONDS, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return InstalledTool(tool, path)
    said = re.search(r"\d{1,9}(?:\.\d{1,9})+", ended.stdout or ended.stderr)  # "v3.274.1", "aws-cli/2.15.0 Python/3.11.6 ..."
    return InstalledTool(tool, path, said[0] if said and ended.returncode == 0 else "")


def too_old(version: str, least: Sequence[str]) -> bool:
    """Whether `version` is older than the entry of its major version in `least`.
    A major version older than all entries is too old."""
    mine = _numbers(version)
    bounds = [bound for bound in map(_numbers, least) if bound[0] <= mine[0]]
    return not bounds or mine < max(bounds)


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(map(int, version.split(".")))


def _refuse(wrong: Sequence[InstalledTool]) -> None:
    if wrong:
        verb = "install" if all(found.path is None for found in wrong) else "install or renew"
        raise BadInput(
            "; ".join(found.problem for found in wrong),
            where="PATH",
            next=f"{verb} {' and '.join(found.tool.command for found in wrong)}, then run this again",
        )
