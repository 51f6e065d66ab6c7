"""`teal plan`: what `pulumi up` would do, refused when it costs too much, does not fit the account, cannot carry the expected load, breaks a rule,
or takes away what cannot be made again.

The workflows run this too (platform, preview). Nothing is changed. The program, its rules and the guard are `infra`, which `teal` does not
import: each is asked in a process of its own.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from contract.names import EXAMPLE_ACCOUNT
from teal.aws import cost, fit, helm_releases, tools
from teal.aws.pulumi.cli import PulumiCli
from teal.aws.session import Aws
from teal.errors import BAD_INPUT, DONE, BadInput, OperatorError
from teal.events import CheckRow, Event

POLICIES: Final = Path("infra/policy")
_GUARD_SECONDS: Final = 120  # reading one file of some MB


class PlanRefused(OperatorError):
    """The plan must not be carried out."""

    code = "plan-refused"


@dataclass(frozen=True, slots=True)
class AcceptedRisks:
    """Risks that the operator accepts: the loss of the resources `urns`, and with `unpriced` parts whose price is unknown."""

    urns: tuple[str, ...] = ()
    unpriced: bool = False


Account = tuple[Aws, str]  # clients, and the account's number
_NOTHING: Final = AcceptedRisks()


def run_checks(
    project: Path,
    stack: str,
    pulumi: PulumiCli,
    accepted: AcceptedRisks = _NOTHING,
    keep: Path | None = None,
    save: Path | None = None,
    account: Account | None = None,
) -> Iterator[Event]:
    """Run the checks, at least one event each. `keep`: where to write the preview's JSON; `save`: where to write the plan for
    `pulumi up --plan`; `account`: None skips the checks that need AWS.

    All checks run before any refusal is raised, so that one run reports everything.
    Raises PlanRefused (exit 1), or BadInput when a check cannot be made.
    """
    tools.require_versions(tools.PULUMI, tools.AWS)
    refused: list[str] = []
    bill = cost.read_bill(project, stack)
    try:
        cost.check_budget(stack, bill, allow_unpriced=accepted.unpriced)
        yield Event("price", "ok", "within budget_usd at today's traffic")
    except cost.OverBudget as error:
        refused.append("price")
        yield Event("price", "warn", error.what)
    if bill.get("needs"):
        yield from _told(load(bill["needs"]), refused)
        yield Event("change", "ok", difference(_before(project, stack, pulumi), bill))
    if account:
        yield from _told(in_account(account, stack, bill), refused)
    found = pulumi.preview(stack, project / POLICIES, save) if save else pulumi.preview(stack, project / POLICIES)
    if keep is not None:
        keep.write_text(found.document, encoding="utf-8")
    said = ", ".join(f"{count} {operation}" for operation, count in sorted(found.changes.items())) or "nothing to do"
    yield Event("preview", "ok", said, data={"changes": dict(found.changes)})
    yield from _told(helm_releases.cut_off(pulumi.resources(stack)), refused)
    for violation in found.violations:
        yield Event("policies", "warn", violation)
    if found.violations:
        refused.append("policies")
    else:
        yield Event("policies", "ok", "every rule holds")
    taken = refused_by_guard(project, found.document, accepted.urns)
    yield Event("guard", "warn" if taken else "ok", taken or "nothing is taken away that cannot be made again")
    if taken:
        refused.append("guard")
    if refused:
        raise PlanRefused(
            f"The plan of {stack} is refused: {', '.join(refused)}",
            where=f"Pulumi.{stack}.yaml and infra/",
            next=f"correct what is listed above, then teal plan {stack}",
        )


def in_account(account: Account, stack: str, bill: Mapping[str, Any]) -> Iterator[CheckRow]:
    """What does not fit this account: example values left in the stack's file, quotas, versions, models (teal/aws/fit.py)."""
    aws, number = account
    for left in () if number == EXAMPLE_ACCOUNT else bill["examples"]:
        yield CheckRow("examples", False, left, f"edit Pulumi.{stack}.yaml")
    yield from fit.check_fit(aws, stack, bill["needs"])


def difference(before: Mapping[str, Any] | None, after: Mapping[str, Any]) -> str:
    """Cost and capacity as configured at the last `up` compared with those now planned, as one line of text."""

    def said(bill: Mapping[str, Any]) -> str:
        low, high = bill["needs"]["questions_per_second"]
        return f"{bill['usd']:,.0f} USD a month, {low:,} to {high:,} questions a second, {bill['needs']['vcpus']} vCPU"

    if before is None:
        return f"nothing is there yet; planned: {said(after)}"
    if said(before) == said(after):
        return f"the same as now: {said(after)}"
    return f"now: {said(before)}; planned: {said(after)}; {after['usd'] - before['usd']:+,.0f} USD a month"


def load(needs: Mapping[str, Any]) -> Iterator[CheckRow]:
    """Whether all pods together carry `teal:expected_load`, where it is set."""
    wanted, high = needs["expected_per_second"], needs["questions_per_second"][1]
    if wanted is not None:
        said = f"teal:expected_load is {wanted:g} questions a second, and all pods together carry {high:,}"
        yield CheckRow("load", wanted <= high, said, "raise teal:service.max_replicas or cpu")


def _before(project: Path, stack: str, pulumi: PulumiCli) -> Mapping[str, Any] | None:
    """The bill of the last `up`'s settings, computed by today's program;
    None without an earlier `up`, or when today's program cannot compute it."""
    try:
        settings = pulumi.settings(stack)
        return None if settings is None else cost.read_bill(project, stack, settings=settings)
    except OperatorError:
        return None


def _told(rows: Iterable[CheckRow], refused: list[str]) -> Iterator[Event]:
    """Each row as an event. Appends the names of the rows that fail to `refused`, once each."""
    for row in rows:
        if not row.ok and row.part not in refused:
            refused.append(row.part)
        yield Event(row.part, "ok" if row.ok else "warn", row.detail if row.ok else f"{row.detail}. To mend it: {row.mend}")


def refused_by_guard(project: Path, document: str, allowed: Sequence[str] = ()) -> str:
    """The guard's message about what it refuses in a preview's JSON (`python -m infra.policy.guard`);
    empty when it refuses nothing."""
    options = [part for urn in allowed for part in ("--allow", urn)]
    ended = subprocess.run(  # noqa: S603 - a fixed command
        [sys.executable, "-m", "infra.policy.guard", "-", *options],
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
        raise BadInput(
            f"The plan could not be checked: {ended.stderr.strip()}", where="python -m infra.policy.guard", next=cost.INSTALL
        )
    return ended.stdout.rstrip("\n")
