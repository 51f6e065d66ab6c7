"""`teal bootstrap`, `teal plan` and `teal destroy`: show what will happen, ask, do it.

AWS's libraries are imported by the commands that need them: a rollback must not wait for them.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from teal.aws.names import StateNames
from teal.errors import BadInput, OperatorError
from teal.events import CheckRow, Event
from teal.terminal.writer import say, say_json

if TYPE_CHECKING:
    from teal.aws import plan
    from teal.aws.stack_file import StackFile

Stack = Annotated[str, typer.Argument(metavar="STACK", help="dev, staging or prod: the name in Pulumi.STACK.yaml.")]
Yes = Annotated[bool, typer.Option("--yes", help="Do not ask.")]
Json = Annotated[bool, typer.Option("--json", help="Machine-readable output.")]
Folder = Annotated[Path, typer.Option("--project", help="Folder of Pulumi.yaml.", file_okay=False)]


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command(name="bootstrap")(bootstrap_)
    app.command(name="plan")(plan_)
    app.command(name="destroy")(destroy_)


def bootstrap_(stack: Stack, yes: Yes = False, as_json: Json = False, project: Folder = Path()) -> None:
    """Prepare an AWS account for `pulumi up`: state bucket, keys of its secrets, an empty stack that uses them. Again: nothing changes."""
    from teal.aws import bootstrap, stack_file, tools
    from teal.aws.session import open_aws

    tools.require_versions(tools.PULUMI, tools.AWS)  # checked now: `pulumi up` would fail only after it had made the cluster
    file = stack_file.read_stack_file(project, stack)
    aws = open_aws(file.region)
    found = bootstrap.survey(aws, file)
    names = found.names
    plan = {"account": names.account_id, "region": names.region, "bucket": names.bucket, "login": names.login}
    misfits = _misfits(file, (aws, names.account_id))
    _show(plan | {"steps": [{"name": one.name, "wanted": one.wanted, "done": one.done} for one in found.steps],
                  "does_not_fit": [asdict(row) for row in misfits]},
          [f"Account {names.account_id}, {names.region}", *(f"  {'is ' if one.done else 'TO DO'}  {one.wanted}" for one in found.steps),
           *(f"  does not fit  {row.part}: {row.detail}. To mend it: {row.mend}" for row in misfits)],
          as_json)  # fmt: skip
    if found.open:
        _ask(f"Make these {len(found.open)} so?", yes, as_json, f"teal bootstrap {stack} --yes")
    _tell(bootstrap.apply(found), as_json)
    keep = f"git add {file.path.name} and commit it"  # Pulumi needs the file's two new lines elsewhere, such as in a workflow
    following = [keep, names.login, f"teal plan {stack}"]  # `pulumi up` alone would check neither price nor rules nor guard
    _show({"next": following}, ["Next:", *(f"  {line}" for line in following)], as_json)


def plan_(
    stack: Stack,
    allow: Annotated[list[str] | None, typer.Option(metavar="URN", help="A resource to give up on purpose; may be repeated.")] = None,
    keep: Annotated[Path | None, typer.Option(help="Write Pulumi's own JSON of the preview here.", dir_okay=False)] = None,
    save_plan: Annotated[Path | None, typer.Option(help="Write the plan here, for `pulumi up --plan`.", dir_okay=False)] = None,
    allow_unpriced: Annotated[bool, typer.Option("--allow-unpriced", help="Accept a part without a known price.")] = False,
    as_json: Json = False,
    project: Folder = Path(),
) -> None:  # fmt: skip
    """What `pulumi up` would do: its price, the rules it must keep, what it would take away. Changes nothing. Exit 1: refused."""
    from teal.aws import plan, stack_file
    from teal.aws.pulumi.cli import PulumiCli
    from teal.aws.session import open_aws

    file = stack_file.read_stack_file(project, stack)
    folder = file.path.parent.resolve()
    backend = os.environ.get("PULUMI_BACKEND_URL")
    aws = open_aws(file.region)
    account = (aws, aws.account_id())
    pulumi = PulumiCli(folder, backend or StateNames(stack, account[1], file.region).backend_url)
    accepted = plan.AcceptedRisks(tuple(allow or ()), allow_unpriced)
    saved = save_plan.resolve() if save_plan else None
    _tell(plan.run_checks(folder, stack, pulumi, accepted, keep, saved, account), as_json)
    following = [f"pulumi up --stack {stack}{f' --plan {saved}' if saved else ''}"]
    _show({"next": following}, ["Next:", *(f"  {line}" for line in following)], as_json)


def _misfits(file: StackFile, account: plan.Account) -> list[CheckRow]:
    """What `teal plan` will refuse in this account.
    Shown already by bootstrap, which needs none of it, because raising a quota takes days."""
    from teal.aws import cost, plan

    try:
        bill = cost.read_bill(file.path.parent.resolve(), file.stack)
    except OperatorError as error:
        return [CheckRow("settings", False, error.what, error.next)]
    return [row for row in plan.in_account(account, file.stack, bill) if not row.ok]


def destroy_(
    stack: Stack,
    delete_data: Annotated[bool, typer.Option("--delete-data", help="Also databases, buckets, backups and keys. For good.")] = False,
    confirm: Annotated[str | None, typer.Option(help="The stack's name, typed: needed with --delete-data.")] = None,
    cluster_gone: Annotated[bool, typer.Option("--cluster-gone", help="The cluster does not exist any more: forget what was in it.")] = False,
    yes: Yes = False,
    as_json: Json = False,
    project: Folder = Path(),
) -> None:  # fmt: skip
    """Take an environment down and say what is left. Data stays unless --delete-data. Exit 4 while anything left costs money."""
    from teal.aws import stack_file
    from teal.aws.session import open_aws
    from teal.aws.teardown import destroy

    file = stack_file.read_stack_file(project, stack)
    aws = open_aws(file.region)
    names = StateNames(stack, aws.account_id(), file.region)
    found = destroy.programs(file.path.parent.resolve(), names)
    plan = destroy.plan_destroy(found, names, destroy.DestroyRequest(stack, delete_data, cluster_gone))
    fate = "deleted for good" if delete_data else "kept"
    lines = [f"Account {names.account_id}, {names.region}: {plan.resources} resources of {stack}"]
    lines += [f"  color stack {color}" for color in plan.colors]
    lines += [f"  {phase.name}: {len(phase.targets)} ({phase.why})" for phase in plan.phases]
    lines += [f"  data, {fate}: {one}" for one in plan.data]
    _show({**asdict(plan.request), "colors": plan.colors, "resources": plan.resources, "data": plan.data,
           "phases": [{"name": one.name, "targets": len(one.targets)} for one in plan.phases]}, lines, as_json)  # fmt: skip
    if delete_data:
        _typed(stack, confirm, as_json)
    else:
        _ask(f"Take {stack} down?", yes, as_json, f"teal destroy {stack} --yes")
    _tell(destroy.run_destroy(aws, found, plan), as_json)


def _typed(stack: str, confirm: str | None, as_json: bool) -> None:
    """Require the stack's name, typed at a prompt or given in the command: --yes is not enough to delete data."""
    if confirm is None and not as_json and sys.stdin.isatty():
        confirm = typer.prompt(f"All data of {stack} will be lost for good. Type its name")
    if confirm != stack:
        raise BadInput(
            "Data is deleted only when the stack's name is typed", where="--confirm",
            next=f"teal destroy {stack} --delete-data --confirm {stack}",
        )  # fmt: skip


def _ask(question: str, yes: bool, as_json: bool, next_: str) -> None:
    if yes:
        return
    if as_json or not sys.stdin.isatty():
        raise BadInput("Nobody can be asked here, and nothing was changed", where="standard input", next=next_)
    typer.confirm(question, abort=True)


def _show(fields: dict[str, object], lines: Iterable[str], as_json: bool) -> None:
    if as_json:
        say_json(fields)
    else:
        say("\n".join(lines))


def _tell(events: Iterable[Event], as_json: bool) -> None:
    for event in events:
        if as_json:
            say_json(event.fields())
        else:
            say(f"  {event.state:<5} {event.step}: {event.detail}")
