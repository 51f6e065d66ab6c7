"""`teal release`, `rollback`, `abort`, `resume`, `history`, `repair`, `contract`: on the laptop, or with --stack on AWS."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table

from contract.steering import Hook
from teal.errors import BadInput, NeedsHuman
from teal.load.run import require_installed
from teal.ports.target import Target
from teal.record.model import COLORS
from teal.record.releases import PastRelease, PlannedStep, is_id, past_releases
from teal.record.source import ReleaseSource, read_source
from teal.release import contract_schema as contracts
from teal.release import freeze as freezes
from teal.release import repair as repairs
from teal.release import return_to, rollback, runner
from teal.release import watch as watches
from teal.release.replay_by_hand import show_replay
from teal.release.source import source_of
from teal.targets import open_target
from teal.terminal.options import DryRun, Json, Stack, Yes
from teal.terminal.progress import show_events
from teal.terminal.writer import say, say_json, terminal_console


def register(app: typer.Typer) -> None:
    """Add the commands."""
    for name, command in (("release", release_), ("rollback", rollback_), ("abort", abort_), ("resume", resume_), ("history", history_),
                          ("repair", repair_), ("contract", contract_), ("freeze", freeze_), ("unfreeze", unfreeze_), ("watch", watch_), ("replay", replay_)):  # fmt: skip
        app.command(name=name)(command)


def release_(
    path: Annotated[Path, typer.Argument(help="Tree to build; default: here.")] = Path(),
    version: Annotated[str | None, typer.Option("--version", help="A label for what is built.")] = None,
    image: Annotated[
        str | None, typer.Option("--image", help="Release a version that was built before: its digest or label.")
    ] = None,
    reindex: Annotated[
        bool,
        typer.Option(
            "--reindex",
            help="With a search index of its own, built from the catalog: for another embedding model or passage length.",
        ),
    ] = False,
    load: Annotated[
        str | None,
        typer.Option("--load", help="A shape of load (smoke, say) that the new color must carry before it meets a user."),
    ] = None,
    pause_at: Annotated[
        int | None,
        typer.Option(
            "--pause-at", help="Stay at this share, in percent, after its analysis, until `teal resume` or `teal abort`."
        ),
    ] = None,
    accept_different_answers: Annotated[
        bool,
        typer.Option(
            "--accept-different-answers",
            help="Show what the replay of users' queries finds, and go on: the release changes the ranking, the model or the index on purpose.",
        ),
    ] = False,
    dry_run: DryRun = False,
    stack: Stack = None,
    as_json: Json = False,
) -> None:
    """Bring a version to the users step by step; whatever fails is undone. Exit 1: failed and undone; 3: another runs; 4: needs you."""
    if version is not None and image is not None:
        raise BadInput(
            "--version labels what is built, --image names what was", where="teal release", next="teal release --image ID"
        )
    request = runner.ReleaseRequest(path, version, image, reindex, source_of(path) if image is None else None)
    target = open_target(stack)
    if load:
        require_installed()  # checked now, not when the color already runs
        target = replace(target, rules=replace(target.rules, load=load))
    if accept_different_answers:
        target = replace(target, rules=replace(target.rules, accept_different_answers=True))
    if pause_at is not None:
        shares = [percent for percent in target.rules.steps if percent < 100]
        if pause_at not in shares:
            said = ", ".join(str(percent) for percent in shares)
            raise BadInput(f"A release stops at {said} %, not at {pause_at}", where="--pause-at",
                           next=f"teal release --pause-at {shares[0]}" if shares else "teal release")  # fmt: skip
        target = replace(target, rules=replace(target.rules, pause_at=pause_at))
    if dry_run:
        show_plan(runner.plan_steps(target, request), as_json, target.steering().hooks)
        return
    show_events(runner.release(target, request), as_json)


def _place(to: str | None) -> str | None:
    if to is not None and to not in COLORS and not is_id(to):
        raise typer.BadParameter(f"{to[:80]!r} is no color and no release of `teal history`")
    return to


def rollback_(
    to: Annotated[
        str | None,
        typer.Option(
            "--to",
            callback=_place,
            help="A release of `teal history`, to go back further: it is released again, step by step. Or blue or green, needed only when the record can not be read.",
        ),
    ] = None,
    stack: Stack = None,
    as_json: Json = False,
) -> None:
    """Give all requests back to the color of before, at once, then undo the release. Asks nobody, waits for nobody."""
    target = open_target(stack)
    if to is None or to in COLORS:
        show_events(rollback.rollback(target, None if to is None else "blue" if to == "blue" else "green"), as_json)
    else:
        show_events(return_to.rollback_to(target, to), as_json)


def abort_(stack: Stack = None, as_json: Json = False) -> None:
    """Undo a release that is not promoted yet, whoever runs it."""
    show_events(rollback.abort(open_target(stack)), as_json)


def resume_(stack: Stack = None, as_json: Json = False) -> None:
    """Go on with a release that is paused, or whose releaser died."""
    show_events(runner.resume(open_target(stack)), as_json)


def contract_(dry_run: DryRun = False, stack: Stack = None, as_json: Json = False) -> None:
    """Take away what only older releases needed of the schema. Refused while a color or a rollback window needs it."""
    show_events(contracts.contract(open_target(stack), dry_run=dry_run), as_json)


def freeze_(
    message: Annotated[str, typer.Option("-m", "--message", help="Why, and until when: whoever wants to release is told.")],
    stack: Stack = None,
    as_json: Json = False,
) -> None:
    """Let no release begin until `teal unfreeze`. One that is under way goes on; rollback, abort and repair always work."""
    show_events(freezes.freeze(open_target(stack), message), as_json)


def unfreeze_(stack: Stack = None, as_json: Json = False) -> None:
    """Let releases begin again."""
    show_events(freezes.unfreeze(open_target(stack)), as_json)


def watch_(stack: Stack = None, as_json: Json = False) -> None:
    """Follow a release that another terminal makes, to its end. Ctrl-C ends the looking, not the release."""
    show_events(watches.watch(open_target(stack)), as_json)


def replay_(stack: Stack = None, as_json: Json = False) -> None:
    """Send recorded queries of users to both colors while two run, and show how their answers differ. Exit 1: the other color is worse."""
    show_replay(open_target(stack), as_json=as_json)


def history_(stack: Stack = None, as_json: Json = False) -> None:
    """The last 20 releases and how each ended."""
    target = open_target(stack)
    record, found = past_releases(target.store)
    sources = {entry.id: read_source(target.store, entry.id) for entry in found}
    if as_json:
        for entry in found:
            say_json({
                "id": entry.id, "underway": entry.underway, "active": record.active,
                "release": entry.plan.model_dump(mode="json", exclude={"steps"}) if entry.plan else None,
                "outcome": entry.outcome.model_dump(mode="json") if entry.outcome else None, "unreadable": entry.unreadable,
                "source": source.model_dump(exclude={"packages"}) if (source := sources[entry.id]) else None, "evidence": evidence_address(target, entry),
            })  # fmt: skip
        return
    rows = [release_cells(entry, sources[entry.id], evidence_address(target, entry)) for entry in found]
    if not terminal_console().is_terminal:  # for programs: one line each, of any length
        for cells in rows:
            say("\t".join(cells))
        return
    table = Table(box=None, pad_edge=False)
    for name in ("release", "color", "version", "when", "who", "made from", "how it ended", "evidence"):
        table.add_column(name, overflow="fold")
    for cells in rows:
        table.add_row(*cells)
    terminal_console().print(table if found else "Nothing was released yet")


def evidence_address(target: Target, entry: PastRelease) -> str:
    """The address of a release's evidence page; empty when none was written."""
    return target.evidence_url(entry.outcome.evidence) if entry.outcome and entry.outcome.evidence else ""


def release_cells(entry: PastRelease, source: ReleaseSource | None, evidence: str) -> tuple[str, ...]:
    """One release as table cells."""
    plan, outcome = entry.plan, entry.outcome
    ended = "under way" if entry.underway else f"{outcome.phase}: {outcome.reason}" if outcome else "not written"
    if entry.unreadable:
        ended = f"cannot be read: {', '.join(entry.unreadable)}"
    if plan is None:
        return entry.id, "", "", "", "", "", ended, evidence
    return (
        entry.id,
        plan.target,
        f"{plan.state.label} {plan.state.image[-12:]}",
        f"{plan.started_at:%Y-%m-%d %H:%M}",
        plan.who,
        source.said() if source else "",
        ended,
        evidence,
    )


def repair_(yes: Yes = False, stack: Stack = None, as_json: Json = False) -> None:
    """Find what a dead releaser left behind, say what will be done about it, ask, do it. Exit 4 when something is left."""
    target = open_target(stack)
    left = 0
    for finding, work in repairs.repair(target):
        if as_json:
            say_json(finding.fields())
        else:
            say(f"found: {finding.what}\n  will: {finding.will}")
        if yes or (not as_json and typer.confirm("Do it?")):
            show_events(work, as_json)
        else:
            left += 1
    if left:
        raise NeedsHuman(f"{left} findings are left as they were", where=target.name, next="teal repair --yes")
    if not as_json:
        say("Nothing is left to repair")


def show_plan(steps: tuple[PlannedStep, ...], as_json: bool, hooks: tuple[Hook, ...] = ()) -> None:
    def show_hooks(when: str, step: PlannedStep) -> None:
        for hook in hooks:
            if hook.when == when and hook.step in (step.action, step.name):
                if as_json:
                    say_json({"hook": hook.name, "when": when, "step": step.name, "says": hook.says()})
                else:
                    say(f"{'':<14} {when}: hook {hook.name}: {hook.says()}")

    for step in steps:
        show_hooks("before", step)
        if as_json:
            say_json({"step": step.name, "says": step.says, "undo": step.undo})
        else:
            say(f"{step.name:<14} {step.says}\n{'':<14} undo: {step.undo}")
        show_hooks("after", step)
