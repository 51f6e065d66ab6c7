"""`teal`: puts the commands together, prints, and decides exit codes (0 done, 1 failed, 2 bad input, 3 held by another, 4 needs a human)."""

from __future__ import annotations

import os
import sys
import traceback
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeElapsedColumn
from typer._click.exceptions import UsageError  # typer carries its own click and exports no name for this

from teal import advise, alert, errors, ingest, keys, present
from teal.aws import commands as aws_commands
from teal.aws import cost as aws_cost
from teal.backup import commands as backup_commands
from teal.client.service import Client, require_collection, require_key, words
from teal.cluster import commands as cluster_commands
from teal.drill import commands as drill_commands
from teal.drill import soak_commands
from teal.errors import OperatorError
from teal.events import Event
from teal.laptop import causes, logs
from teal.laptop import doctor as checks
from teal.laptop import status as truth
from teal.laptop import up as lifecycle
from teal.laptop.address import address
from teal.laptop.demo import first_run
from teal.laptop.layout import Layout, locate_layout
from teal.laptop.parts.registry import FRONT
from teal.laptop.state import UpOptions
from teal.load import commands as load_commands
from teal.release import commands as release_commands
from teal.terminal import writer
from teal.terminal.options import Stack
from teal.terminal.writer import say, say_json


class SearchKind(StrEnum):
    embedded = "embedded"
    elasticsearch = "elasticsearch"


app = typer.Typer(no_args_is_help=True, pretty_exceptions_enable=False, add_completion=False,
                  help="Runs Teal on this machine and talks to it. Every command takes --json.")  # fmt: skip

Json = Annotated[bool, typer.Option("--json", help="Machine-readable output.")]
Key = Annotated[str | None, typer.Option("--key", help="API key; else TEAL_KEY, else the stack's own admin key.")]


def fail(fields: dict[str, object], text: str, as_json: bool) -> None:
    if as_json:
        say_json({"error": fields})
    else:
        say(text, error=True)


def keep_trace(error: Exception) -> str:
    """Append the stack trace to `.teal/log/teal.log`; returns a phrase that names the file."""
    try:
        path = here().logs / "teal.log"
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        with path.open("a", encoding="utf-8") as file:
            file.write(
                f"{datetime.now(UTC).isoformat()} {' '.join(sys.argv[1:2])}\n{''.join(traceback.format_exception(error))}\n"
            )
    except (OSError, OperatorError):
        return "its trace could not be written"
    return f"trace in {path}"


def here() -> Layout:
    return locate_layout(os.environ)


def console() -> Console:
    return writer.terminal_console(soft_wrap=True)


@app.command()
def up(
    search: Annotated[SearchKind | None, typer.Option(help="Search engine; default: as before, at first embedded.")] = None,
    port: Annotated[
        int | None, typer.Option(min=1024, max=65535, help="HTTPS port on loopback; default: as before, at first 8443.")
    ] = None,
    no_corpus: Annotated[bool, typer.Option("--no-corpus", help="Start only; send no demonstration documents.")] = False,
    as_json: Json = False,
) -> None:
    """Start the stack, fill it with a demonstration corpus and ask it a question. Again: seconds, and nothing changes."""
    options = UpOptions(search=search.value if search else None, port=port)
    serving = False
    events = first_run.first_run(here(), options, os.environ, with_corpus=not no_corpus)
    try:
        if as_json:
            for event in events:
                serving = serving or event.step == FRONT.name
                say_json(event.fields())
            return
        with bar() as progress:
            tasks: dict[str, TaskID] = {}
            for event in events:
                serving = serving or event.step == FRONT.name
                show(event, progress, tasks)
    except KeyboardInterrupt:
        if not serving:
            raise
        said = "The stack runs and the worker goes on indexing what was sent: `teal status`. `teal up` sends the rest"
        if as_json:
            say_json({"step": "interrupted", "detail": said})
        else:
            say(said)


def bar() -> Progress:
    return Progress(TextColumn("   {task.description:<14}"), BarColumn(), MofNCompleteColumn(), TextColumn("{task.fields[detail]}"),
                    TimeElapsedColumn(), console=console(), transient=True)  # fmt: skip


def show(event: Event, progress: Progress, tasks: dict[str, TaskID]) -> None:
    """Print a line for an event; update the bar for progress."""
    if event.step == "answer":
        progress.console.print(
            present.answer_text(event.data["question"], {"answer": event.detail, **event.data}, event.data["seconds"])
        )
    elif event.step == "page":
        progress.console.print(present.page_text(event.data))
    elif event.state == "progress":
        task = tasks.get(event.step)
        if task is None:
            task = tasks[event.step] = progress.add_task(event.step, total=event.total, detail="")
        progress.update(task, completed=event.done or 0, total=event.total, detail=event.detail)
    else:
        if event.step in tasks:
            progress.remove_task(tasks.pop(event.step))
        progress.console.print(present.step_line(event))


@app.command()
def down(as_json: Json = False) -> None:
    """Stop everything this stack runs; documents, keys and logs stay."""
    for event in lifecycle.down(here()):
        if as_json:
            say_json(event.fields())
        else:
            console().print(present.step_line(event))


@app.command()
def status(as_json: Json = False) -> None:
    """What runs and what does not, asked of the parts themselves. Exit 1 when something is wrong."""
    found = truth.status(here(), os.environ)
    if as_json:
        say_json(found.fields())
    else:
        console().print(present.check_table("", found.rows))
        console().print(present.status_summary(found))
    if not found.healthy:
        raise typer.Exit(errors.FAILED)


@app.command()
def doctor(stack: Stack = None, as_json: Json = False) -> None:
    """What this machine needs, what is missing, and the command that mends it. With --stack: for work on AWS."""
    if stack is None:
        rows = checks.check_laptop(here(), os.environ)
    else:
        from teal.aws import doctor as aws_checks

        rows = aws_checks.check_aws(stack, os.environ)
    if as_json:
        for row in rows:
            say_json({"part": row.part, "ok": row.ok, "detail": row.detail, "mend": row.mend})
    else:
        console().print(present.check_table("", rows))
    if not all(row.ok for row in rows):
        raise typer.Exit(errors.FAILED)


@app.command(name="logs")
def logs_(
    part: Annotated[str | None, typer.Argument(help="app, worker, caddy, access, redis, ...; default: all.")] = None,
    follow: Annotated[bool, typer.Option("-f", "--follow", help="Go on with new lines until Ctrl-C.")] = False,
    lines: Annotated[int, typer.Option("-n", min=0, help="Last lines of each file.")] = 20,
    as_json: Json = False,
) -> None:
    """The last lines of the logs."""
    paths = logs.log_files(here(), part)

    def show_line(path: Path, line: str) -> None:
        if as_json:
            say_json({"file": path.name, "line": line})
        else:
            say(f"{path.name}: {line}" if len(paths) > 1 else line)

    for path in paths:
        for line in logs.tail(path, lines):
            show_line(path, line)
    try:
        for path, line in logs.new_lines(paths) if follow else ():
            show_line(path, line)
    except KeyboardInterrupt:
        return


@app.command()
def ask(
    question: Annotated[str, typer.Argument()],
    collection: Annotated[
        list[str] | None, typer.Option(help="Collection to answer from; several times for several. Not given: all.")
    ] = None,
    stream: Annotated[bool, typer.Option(help="Print words as they come.")] = True,
    key: Key = None,
    as_json: Json = False,
) -> None:
    """Ask the documents a question."""
    collections = [require_collection(name) for name in collection or ()]
    with Client(require_key(address(here(), os.environ, key))) as client:
        if not stream or (as_json and "--stream" not in sys.argv):
            found = client.ask(question, collections)
            if as_json:
                say_json(found)
            else:
                console().print(present.answer_text(question, found))
            return
        with client.ask_stream(question, collections) as events:
            for name, data in events:
                if as_json:
                    say_json({"event": name, "data": data})
                elif name == "token":
                    say(data["text"], end="")
                elif name == "done":
                    console().print("\n\n" + present.citations(data))
                if name == "error":
                    raise errors.ServiceRefused("POST /v1/ask", status=int(data.get("status", 500)), code=str(data.get("code")), title=str(data.get("title")),
                                         detail=str(data.get("detail", "")), action=str(data.get("action", "")), request_id=data.get("request_id"))  # fmt: skip


@app.command(name="ingest")
def ingest_(
    paths: Annotated[list[Path], typer.Argument(metavar="PATH...")],
    collection: Annotated[str | None, typer.Option(help="Collection to put them in.")] = None,
    key: Key = None,
    as_json: Json = False,
) -> None:
    """Send files and folders (PDF, web pages, Office files, e-mail, text, data) and wait until they are indexed. Exit 1 when any failed."""
    if collection is not None:
        require_collection(collection)
    ingest.require_there(paths)
    results: list[ingest.FileProgress] = []
    sent: list[ingest.FileProgress] = []
    with Client(require_key(address(here(), os.environ, key))) as client, bar() as progress:
        suffixes = ingest.readable_suffixes(client)
        files, left_out = ingest.files_to_send(paths, suffixes), ingest.skipped_files(paths, suffixes)
        progress.disable = as_json
        task = progress.add_task("sent", total=len(files), detail="")
        for one in ingest.send_files(client, files, collection):
            sent.append(one)
            progress.update(task, advance=1, detail=words(Path(one.path.name)))
        task = progress.add_task("indexed", total=len(files), detail="")
        for one in ingest.wait_for_documents(client, sent):
            results.append(one)
            progress.update(task, advance=1, detail=words(Path(one.path.name)))
            if as_json:
                say_json({"path": words(one.path), "id": one.document_id, "status": one.status, "reason": one.reason})
    summary = ingest.ingest_summary(results) | {"skipped": [words(path) for path in left_out]}
    if as_json:
        say_json(summary)
    else:
        say(f"{summary['indexed']} of {summary['files']} indexed" + (f"; {len(left_out)} skipped" if left_out else ""))
        for path in left_out:
            say(f"skipped: {words(path)}", error=True)
        for one in results:
            if one.failed:
                say(f"failed: {words(one.path)}\n  why:  {one.reason}\n  next: {one.action}", error=True)
    if summary["failed"]:
        raise typer.Exit(errors.FAILED)


keys.register(app)
advise.register(app)
alert.register(app)
aws_commands.register(app)
aws_cost.register(app)
release_commands.register(app)
backup_commands.register(app)
drill_commands.register(app)
soak_commands.register(app)
load_commands.register(app)
cluster_commands.register(app)


def run(arguments: list[str]) -> int:
    """Run one command; returns its exit code. Every failure is printed as a message; stack traces go to a log only."""
    as_json = "--json" in arguments
    try:
        ended_with = app(arguments, standalone_mode=not as_json)  # standalone, it prints usage errors itself, in a box
        return ended_with if isinstance(ended_with, int) else errors.DONE
    except UsageError as error:
        text = " ".join(error.format_message().split())
        command = error.ctx.command_path if error.ctx else "teal"
        fail({"code": "usage", "what": text, "where": command, "next": f"{command} --help"}, text, as_json)
        return errors.BAD_INPUT
    except typer.Abort:
        fail({"code": "interrupted", "what": "Aborted", "where": "teal", "next": "teal status"}, "Aborted", as_json)
        return errors.FAILED
    except SystemExit as ended:
        return ended.code if isinstance(ended.code, int) else errors.FAILED if ended.code else errors.DONE
    except OperatorError as error:
        fail(error.fields(), str(error), as_json)
        return error.exit_code
    except Exception as error:  # noqa: BLE001 - the last line of defence
        if isinstance(error, OSError) and (refused := causes.of_machine(error)):
            fail(refused.fields(), str(refused), as_json)
            return refused.exit_code
        where = keep_trace(error)
        text = f"Unexpected: {type(error).__name__}: {str(error)[:200]}\n  where: {where}\n  next:  teal doctor"
        fail({"code": "unexpected", "what": type(error).__name__, "where": where, "next": "teal doctor"}, text, as_json)
        return errors.FAILED


def main() -> None:
    """Entry point of the `teal` command."""
    os.umask(0o077)  # the files it writes contain documents, keys and logs, which only their owner may read
    sys.exit(run(sys.argv[1:]))


if __name__ == "__main__":
    main()
