"""`teal plan`: what `pulumi up` would do, refused when it costs too much, breaks a rule, or takes away what cannot be made again.

The workflows run this too (deploy, preview). Nothing is changed. The program, its rules and the guard are `infra`, which `teal` does not
import: each is asked in a process of its own.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

from teal.aws import cost, tools
from teal.aws.pulumi_cli import PulumiCli
from teal.errors import BAD_INPUT, DONE, BadInput, OperatorError
from teal.stack.events import Event

POLICIES: Final = Path("infra/policy")
_GUARD_SECONDS: Final = 120  # reading one file of some MB


class PlanRefused(OperatorError):
    """The plan must not be carried out."""

    code = "plan-refused"


def run(project: Path, stack: str, pulumi: PulumiCli, allowed: Sequence[str] = (), keep: Path | None = None) -> Iterator[Event]:
    """The three checks, one event each. `allowed`: URNs to give up on purpose; `keep`: where to write the preview's JSON.

    All are made before any refusal is raised, so that one run says everything. Raises PlanRefused (exit 1), or BadInput when it cannot
    be asked.
    """
    tools.require(tools.PULUMI, tools.AWS)
    refused: list[str] = []
    try:
        cost.refuse_over_budget(project, stack)
        yield Event("price", "ok", "within budget_usd at today's traffic")
    except cost.OverBudget as error:
        refused.append("price")
        yield Event("price", "warn", error.what)
    found = pulumi.preview(stack, project / POLICIES)
    if keep is not None:
        keep.write_text(found.document, encoding="utf-8")
    said = ", ".join(f"{count} {operation}" for operation, count in sorted(found.changes.items())) or "nothing to do"
    yield Event("preview", "ok", said, data={"changes": dict(found.changes)})
    for violation in found.violations:
        yield Event("policies", "warn", violation)
    if found.violations:
        refused.append("policies")
    else:
        yield Event("policies", "ok", "every rule holds")
    taken = guard(project, found.document, allowed)
    yield Event("guard", "warn" if taken else "ok", taken or "nothing is taken away that cannot be made again")
    if taken:
        refused.append("guard")
    if refused:
        raise PlanRefused(
            f"The plan of {stack} is refused: {', '.join(refused)}",
            where=f"Pulumi.{stack}.yaml and infra/",
            next=f"correct what is listed above, then teal plan {stack}",
        )


def guard(project: Path, document: str, allowed: Sequence[str] = ()) -> str:
    """What `python -m infra.guard` refuses in a preview's JSON, in its words; empty when nothing."""
    options = [part for urn in allowed for part in ("--allow", urn)]
    ended = subprocess.run(  # noqa: S603 - a fixed command
        [sys.executable, "-m", "infra.guard", "-", *options],
        cwd=project,
        input=document,
        capture_output=True,
        text=True,
        timeout=_GUARD_SECONDS,
        check=False,
    )
    if ended.returncode == DONE:
        return ""
    if ended.returncode == BAD_INPUT or not ended.stdout.startswith("refused"):
        raise BadInput(f"The plan could not be checked: {ended.stderr.strip()}", where="python -m infra.guard", next=cost.INSTALL)
    return ended.stdout.rstrip("\n")
