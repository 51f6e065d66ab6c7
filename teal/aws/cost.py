"""`teal cost`: what an environment costs a month, asked of the infrastructure program in a process of its own.

`teal` does not import `infra`: the program needs Pulumi's SDKs, which a laptop that only runs the stack does not have.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Final

import typer

from teal.errors import BAD_INPUT, DONE, BadInput, OperatorError

_LIMIT_SECONDS: Final = 300  # evaluating takes 3 s; --refresh asks AWS some twenty questions
_LAST_LINES: Final = 5
INSTALL: Final = "make .venv/.installed-infra"


class CostFailed(OperatorError):
    """The program that counts did not end as it should."""

    code = "cost-failed"


class OverBudget(BadInput):
    """The plan costs more than the stack's own budget."""

    code = "over-budget"


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command(name="cost")(cost_)


def cost_(
    stack: Annotated[str, typer.Argument(metavar="STACK", help="dev, staging or prod: the name in Pulumi.STACK.yaml.")],
    load: Annotated[float, typer.Option(min=0.01, max=1_000, help="Multiple of today's traffic.")] = 1.0,
    refresh: Annotated[bool, typer.Option("--refresh", help="Ask AWS for this region's prices first (needs credentials).")] = False,
    check: Annotated[bool, typer.Option("--check", help="Exit 2 when today's traffic costs more than budget_usd.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Machine-readable output.")] = False,
    project: Annotated[Path, typer.Option("--project", help="Folder of Pulumi.yaml.", file_okay=False)] = Path(),
) -> None:  # fmt: skip
    """The monthly price of an environment, line by line, before it exists; unconfirmed prices are marked, unknown ones are said."""
    options = [*(("--refresh",) if refresh else ()), "--load", f"{load:g}"]
    found = ask(project, stack, options, as_json=as_json)
    typer.echo(found)
    if check:
        refuse_over_budget(project, stack)


def refuse_over_budget(project: Path, stack: str) -> None:
    """Raise OverBudget when the stack at today's traffic costs more than its `budget_usd`; used before anything is created."""
    found = bill(project, stack)
    if found["over_budget"]:
        raise OverBudget(
            f"{stack} would cost {found['usd']:,.0f} USD a month, and its budget_usd is {found['budget_usd']:,}",
            where=f"Pulumi.{stack}.yaml, teal:budget_usd",
            next=f"teal cost {stack}",
        )


def bill(project: Path, stack: str, load: float = 1.0) -> Mapping[str, Any]:
    """The bill at `load` times today's traffic as data: usd, unverified_usd, unknown, budget_usd, over_budget, web_replicas, lines."""
    text = ask(project, stack, () if load == 1 else ("--load", f"{load:g}"), as_json=True)
    try:
        found: Mapping[str, Any] = json.loads(text)
    except ValueError:
        raise CostFailed("The price is not readable", where=text[:200], next=f"python -m infra.cost {stack} --json") from None
    return found


def ask(project: Path, stack: str, options: Sequence[str], *, as_json: bool) -> str:
    """What `python -m infra.cost` prints. Raises BadInput for a wrong stack or a missing program, CostFailed otherwise."""
    command = [sys.executable, "-m", "infra.cost", stack, *options, *(("--json",) if as_json else ())]
    try:
        ended = subprocess.run(  # noqa: S603 - a fixed command; the stack's name is one argument
            command,
            cwd=project,
            capture_output=True,
            text=True,
            timeout=_LIMIT_SECONDS,
            check=False,
            env=os.environ | {"PYTHONUTF8": "1"},
        )
    except subprocess.TimeoutExpired:
        raise CostFailed(f"No price after {_LIMIT_SECONDS} s", where=" ".join(command[1:]), next=f"teal cost {stack}") from None
    if ended.returncode == DONE:
        return ended.stdout.rstrip("\n")
    said = "\n".join(ended.stderr.strip().splitlines()[-_LAST_LINES:])
    if "ModuleNotFoundError" in said:
        raise BadInput(
            f"The infrastructure's packages are not installed: {said.splitlines()[-1]}", where=sys.executable, next=INSTALL
        )
    if ended.returncode == BAD_INPUT:
        raise BadInput(said, where=f"Pulumi.{stack}.yaml", next="ls Pulumi.*.yaml")
    raise CostFailed(f"Counting failed: {said}", where=" ".join(command[1:]), next=f"python -m infra.cost {stack}")
