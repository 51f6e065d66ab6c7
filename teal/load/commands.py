"""`teal load` and `teal capacity`."""

from __future__ import annotations

import os
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any, Final

import typer
from rich.progress import BarColumn, Progress, TextColumn

from teal import present
from teal.aws import cost
from teal.errors import BadInput
from teal.events import Event
from teal.laptop.layout import locate_layout
from teal.load import bystander
from teal.load import capacity as capacities
from teal.load import place as places
from teal.load import run as runs
from teal.targets import open_target
from teal.terminal.options import Json, Stack
from teal.terminal.writer import say, say_json
from teal.terminal.writer import terminal_console as terminal

FOLDER: Final = Path("artifacts/load")


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command(name="load")(load_)
    app.command(name="capacity")(capacity_)


def load_(
    shape: Annotated[str, typer.Argument(help="smoke, step, spike, hot-key, ...: `python -m loadtests shapes` prints them. none: Locust's own -u, -r, -t.")],
    locust: Annotated[list[str] | None, typer.Argument(metavar="[-- LOCUST...]", help="Options and user classes for Locust, as they are.")] = None,
    ui: Annotated[bool, typer.Option("--ui", help="Locust's page on http://127.0.0.1:8089 meanwhile; Ctrl-C ends it.")] = False,
    users: Annotated[int | None, typer.Option("--users", "-u", min=1, help="With shape none: so many users.")] = None,
    spawn_rate: Annotated[float | None, typer.Option("--spawn-rate", "-r", min=0.01, help="With shape none: so many more a second.")] = None,
    run_time: Annotated[str | None, typer.Option("--run-time", "-t", help="With shape none: 30s, 5m, 1h30m.")] = None,
    repeat: Annotated[int | None, typer.Option(min=1, help="Passes through the shape: three or more give goodput a confidence interval.")] = None,
    warm_up: Annotated[float | None, typer.Option(min=0, help="Seconds before the first stage that are not judged.")] = None,
    arrivals: Annotated[str | None, typer.Option(help="How requests arrive: constant or poisson. Default: the shape's own.")] = None,
    shapes: Annotated[Path | None, typer.Option(help="YAML file with shapes of your own.", exists=True, dir_okay=False)] = None,
    stop_when: Annotated[str | None, typer.Option("--stop-when", help="End the run when a user outside it suffers: 'errors > 10 %' or 'p95 > 2000 ms'.")] = None,
    history: Annotated[Path | None, typer.Option(help="JSON lines file to which the result is added, and which the page plots.", dir_okay=False)] = None,
    workers: Annotated[int, typer.Option(min=0, max=64, help="Locust's worker processes; 0: one process does all.")] = 0,
    scale: Annotated[float, typer.Option(min=0.01, max=1_000, help="Multiple of the shape's users or requests a second.")] = 1.0,
    seconds: Annotated[float | None, typer.Option(min=1, help="Length of the whole shape; default: its own.")] = None,
    stack: Stack = None,
    host: Annotated[str | None, typer.Option("--host", help="Any other address of the service.")] = None,
    ca: Annotated[Path | None, typer.Option("--ca", help="With --host: PEM file to verify its certificate against.", dir_okay=False)] = None,
    key: Annotated[list[str] | None, typer.Option("--key", help="API key, role writer; may be repeated. Default: TEAL_KEY, else new ones that end by themselves.")] = None,
    questions: Annotated[Path | None, typer.Option(help='JSON lines {"question", "source"?} about the documents that are there.', exists=True, dir_okay=False)] = None,
    thresholds: Annotated[Path | None, typer.Option(help="Instead of loadtests/thresholds.yaml.", exists=True, dir_okay=False)] = None,
    baseline: Annotated[Path | None, typer.Option(help="result.json of an earlier run to compare with.", exists=True, dir_okay=False)] = None,
    out: Annotated[Path | None, typer.Option(help="Folder for index.html and result.json; default: a new one in artifacts/load.", file_okay=False)] = None,
    as_json: Json = False,
) -> None:  # fmt: skip
    """Send a shape of load and judge what users met. Exit 1: a threshold was breached; 4: too few samples, or a late generator; 130: interrupted."""
    runs.require_installed()
    if stack is not None and host is not None:
        raise BadInput("--stack and --host name two places", where="teal load", next="teal load SHAPE --stack dev")
    condition = bystander.parse_stop_condition(stop_when) if stop_when is not None else None
    if host is not None:
        place = places.anywhere(host, key or (), ca, os.environ)
    elif stack is not None:
        place = places.aws_load_target(open_target(stack), key or (), os.environ)
    else:
        place = places.laptop_load_target(locate_layout(os.environ), os.environ, key or ())
    options = ["--workers", str(workers), "--scale", f"{scale:g}", *(("--ui",) if ui else ())]
    for name, value in (
        ("--seconds", seconds),
        ("--questions", questions),
        ("--thresholds", thresholds),
        ("--baseline", baseline),
        ("--shapes", shapes),
        ("--history", history),
    ):
        options += [name, str(value)] if value is not None else []
    given = list(locust or ())
    for option, wanted in (
        ("--users", users),
        ("--spawn-rate", spawn_rate),
        ("--run-time", run_time),
        ("--load-repeat", repeat),
        ("--load-warm-up", warm_up),
        ("--load-arrivals", arrivals),
    ):
        given += [f"{option}={wanted}"] if wanted is not None else []
    folder = out or runs.new_folder(FOLDER / f"{datetime.now(UTC):%Y%m%d-%H%M%S}-{shape}")
    events = runs.run_load_test(place, runs.LoadTest(shape, folder, tuple(options), tuple(given), condition))
    if as_json:
        for event in events:
            say_json(event.fields())
    else:
        _show(events, "http://127.0.0.1:8089" if ui else "")


def _show(events: Iterator[Event], page: str) -> None:
    console = terminal(soft_wrap=True)
    if page:
        console.print(f"Locust's page: {page}")
    columns = (
        TextColumn("  "),
        BarColumn(bar_width=20),
        TextColumn("{task.completed:.0f}/{task.total:.0f} s {task.fields[detail]}"),
    )
    with Progress(*columns, console=console, transient=True) as progress:
        task = progress.add_task("running", total=None, detail="asking each question once", visible=False)
        for event in events:
            if event.step == "running":
                progress.update(task, completed=event.done or 0, total=event.total, detail=event.detail, visible=True)
            else:
                progress.console.print(present.step_line(event))


def capacity_(
    result: Annotated[Path, typer.Argument(help="result.json of `teal load step`.", exists=True, dir_okay=False)],
    load: Annotated[float | None, typer.Option(min=0.001, help="Questions a second to be ready for.")] = None,
    replicas: Annotated[int | None, typer.Option(min=1, help="Replicas that answered, where the run could not see them.")] = None,
    stack: Annotated[str | None, typer.Option("--stack", help="Price the replicas as this stack is configured (needs --load).")] = None,
    usd_month: Annotated[float | None, typer.Option("--usd-month", min=0, help="Price of a month, instead of --stack.")] = None,
    cpu_request: Annotated[float, typer.Option(min=0.05, help="CPU request of a pod, in cores.")] = 1.0,
    as_json: Json = False,
    project: Annotated[Path, typer.Option("--project", help="Folder of Pulumi.yaml.", file_okay=False)] = Path(),
) -> None:  # fmt: skip
    """What one replica carries within the thresholds; replicas and dollars a million questions for a load."""
    found = capacities.capacity(capacities.read_run(result), replicas)
    fields: dict[str, Any] = {
        "questions_per_second": round(found.questions_per_second, 2),
        "replicas_measured": found.replicas,
        "per_replica": round(found.per_replica, 2),
        "knee": found.knee,
        "above": found.above,
        "goodput": found.goodput.model_dump() if found.goodput else None,
        "cpu_per_replica": found.cpu_per_replica,
        "target_cpu_percent": capacities.target_cpu_percent(found, cpu_request),
    }
    if load is not None:
        fields |= {"load": load, "replicas": capacities.replicas_for(load, found.per_replica)}
        usd = usd_month if usd_month is not None else _price(project, stack, fields["replicas"]) if stack else None
        if usd is not None:
            fields |= {"usd_month": round(usd, 2), "usd_per_million_questions": round(capacities.usd_per_million(usd, load), 2)}
            if found.goodput is not None and usd > 0:
                # The measurement was made with `found.replicas`; the price is for as many as the load needs.
                good = found.goodput.mean / found.replicas * fields["replicas"]
                fields |= {"good_answers_per_usd": round(capacities.good_answers_per_usd(good, usd))}
    elif stack or usd_month is not None:
        raise BadInput(
            "A price of questions needs to know how many there are", where="teal capacity", next="teal capacity RESULT --load 50"
        )
    if as_json:
        say_json(fields)
    else:
        say(_words(fields, cpu_request))


def _price(project: Path, stack: str, replicas: int) -> float:
    """USD a month of the stack with that many web pods, from `python -m infra.cost`."""
    least = cost.read_bill(project, stack)["web_replicas"]
    bill = cost.read_bill(project, stack, load=max(1.0, replicas / least))
    if bill["web_replicas"] < replicas:
        raise BadInput(f"{replicas} replicas are needed, and {stack} never has more than {bill['web_replicas']}",
                       where=f"Pulumi.{stack}.yaml", next=f"raise teal:service.max_replicas in Pulumi.{stack}.yaml")  # fmt: skip
    return float(bill["usd"])


def _words(fields: dict[str, Any], cpu_request: float) -> str:
    tried = "the highest that was tried; the limit is above"
    unknown = "a higher stage says nothing about the service" if fields["above"] else tried
    limit = "a higher stage was not kept" if fields["knee"] else unknown
    above = f": {fields['above']}" if fields["above"] else ""
    lines = []
    if (good := fields["goodput"]) is not None:
        spread = (
            f"95 % confidence {good['low']:.1f} to {good['high']:.1f}, {good['repetitions']} repetitions"
            if good["low"] is not None
            else "one repetition, so no interval: --repeat 3"
        )
        lines.append(f"goodput {good['mean']:.1f} answers a second within every limit ({spread})")
    lines += [
        f"{fields['per_replica']:g} questions a second and replica: {fields['questions_per_second']:g} by {fields['replicas_measured']} ({limit}){above}"
    ]
    if fields["cpu_per_replica"] is not None:
        lines.append(
            f"a replica used {fields['cpu_per_replica']:.2f} cores there: autoscale at {fields['target_cpu_percent']} % of a request of {cpu_request:g}"
        )
    if "load" in fields:
        lines.append(
            f"{fields['load']:g} questions a second need {fields['replicas']} replicas at {capacities.HEADROOM:.0%} of that each"
        )
    if "usd_month" in fields:
        lines.append(
            f"{fields['usd_month']:,.2f} USD a month, {fields['usd_per_million_questions']:,.2f} USD a million questions at that load, day and night"
        )
    if "good_answers_per_usd" in fields:
        lines.append(f"{fields['good_answers_per_usd']:,} answers within every limit for a dollar, at the knee")
    return "\n".join(lines)
