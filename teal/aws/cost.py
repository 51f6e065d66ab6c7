"""`teal cost`: the monthly cost of an environment, computed by `python -m infra.cost` in a separate process.

`teal` does not import `infra`: the program needs Pulumi's SDKs, which a laptop that only runs the stack does not have.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Final

import typer

from teal.errors import BAD_INPUT, DONE, BadInput, OperatorError
from teal.terminal.writer import say

# Evaluating takes 3 to 6 s of CPU, on a busy machine a minute; --refresh asks AWS some twenty questions
_LIMIT_SECONDS: Final = 300
_LAST_LINES: Final = 5
INSTALL: Final = "make .venv/.installed-infra"


class CostFailed(OperatorError):
    """`python -m infra.cost` failed."""

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
    allow_unpriced: Annotated[bool, typer.Option("--allow-unpriced", help="With --check: accept a part without a known price.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Machine-readable output.")] = False,
    project: Annotated[Path, typer.Option("--project", help="Folder of Pulumi.yaml.", file_okay=False)] = Path(),
) -> None:  # fmt: skip
    """The monthly price of an environment, line by line, before it exists; unconfirmed prices are marked, unknown ones are said."""
    options = [*(("--refresh",) if refresh else ()), "--load", f"{load:g}"]
    found = ask_bill(project, stack, options, as_json=as_json)
    say(found)
    if check:
        refuse_over_budget(project, stack, allow_unpriced=allow_unpriced)


def refuse_over_budget(project: Path, stack: str, *, allow_unpriced: bool = False) -> None:
    """Raise OverBudget when the stack at today's traffic costs more than its `budget_usd`, or a price is unknown.
    Called before anything is created."""
    check_budget(stack, read_bill(project, stack), allow_unpriced=allow_unpriced)


def check_budget(stack: str, found: Mapping[str, Any], *, allow_unpriced: bool = False) -> None:
    """Raise OverBudget when the bill at today's traffic is above the budget, or has unknown prices and so no total."""
    if found["unpriced"] and not allow_unpriced:
        raise OverBudget(
            f"No price is known for {'; '.join(found['unpriced'])}, so nobody can say that {stack} is within its budget_usd",
            where=f"Pulumi.{stack}.yaml",
            next=f"teal cost {stack} --refresh, or accept it with --allow-unpriced",
        )
    if found["over_budget"]:
        raise OverBudget(
            f"{stack} would cost {found['usd']:,.0f} USD a month, and its budget_usd is {found['budget_usd']:,}",
            where=f"Pulumi.{stack}.yaml, teal:budget_usd",
            next=f"teal cost {stack}",
        )


def read_bill(project: Path, stack: str, load: float = 1.0, settings: Mapping[str, Any] | None = None) -> Mapping[str, Any]:
    """The bill at `load` times today's traffic as data: usd, unverified_usd, unknown, budget_usd, over_budget, web_replicas, needs, examples,
    lines. `settings`: values by key that replace the stack file's."""
    options = () if load == 1 else ("--load", f"{load:g}")
    with tempfile.TemporaryDirectory() as scratch:
        if settings is not None:
            file = Path(scratch) / "settings.json"
            file.write_text(json.dumps(settings), encoding="utf-8")
            options = (*options, "--settings", str(file))
        text = ask_bill(project, stack, options, as_json=True)
    try:
        found: Mapping[str, Any] = json.loads(text)
    except ValueError:
        raise CostFailed("The price is not readable", where=text[:200], next=f"python -m infra.cost {stack} --json") from None
    return found


def ask_bill(project: Path, stack: str, options: Sequence[str], *, as_json: bool) -> str:
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
            # Pulumi's SDK for AWS is thousands of classes: without its bytecode, which some containers forbid to write, reading it takes twice as long.
            env={**{name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}, "PYTHONUTF8": "1"},
        )
    except subprocess.TimeoutExpired:
        raise CostFailed(f"No price after {_LIMIT_SECONDS} s", where=" ".join(command[1:]), next=f"teal cost {stack}") from None
    if ended.returncode == DONE:
        return ended.stdout.rstrip("\n")
    whole = ended.stderr.strip()
    said = "\n".join(whole.splitlines()[-_LAST_LINES:])
    if "ModuleNotFoundError" in said:
        raise BadInput(
            f"The infrastructure's packages are not installed: {said.splitlines()[-1]}", where=sys.executable, next=INSTALL
        )
    if ended.returncode == BAD_INPUT:
        raise BadInput(whole, where=f"Pulumi.{stack}.yaml", next="ls Pulumi.*.yaml")
    raise CostFailed(f"Counting failed: {said}", where=" ".join(command[1:]), next=f"python -m infra.cost {stack}")
