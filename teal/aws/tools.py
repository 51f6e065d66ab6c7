"""Commands of other makers that work on AWS needs on this machine."""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from teal.errors import BadInput


@dataclass(frozen=True, slots=True)
class Tool:
    """A command, and what cannot be done without it."""

    command: str
    needed_for: str


PULUMI: Final = Tool("pulumi", "it makes and changes everything on AWS")
# The cluster's kubeconfig says `aws eks get-token` (infra/kubeconfig.py), as AWS's own does.
AWS: Final = Tool("aws", "Pulumi signs in to the cluster with `aws eks get-token`")


def require(*tools: Tool, environ: Mapping[str, str] | None = None) -> None:
    """Raises BadInput that names each command that is not on PATH. Runs nothing."""
    path = (os.environ if environ is None else environ).get("PATH")
    absent = [tool for tool in tools if shutil.which(tool.command, path=path) is None]
    if absent:
        raise BadInput(
            "; ".join(f"The command {tool.command} is not here: {tool.needed_for}" for tool in absent),
            where="PATH",
            next=f"install {' and '.join(tool.command for tool in absent)}, then run this again",
        )
