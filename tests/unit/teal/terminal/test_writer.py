"""Nothing that a document, an error or a log says gives the operator's terminal an order."""

from __future__ import annotations

import ast
import io
import json
from pathlib import Path

import pytest
from rich.table import Table
from rich.text import Text

import teal
from teal import cli, present
from teal.errors import BadInput
from teal.events import Event
from teal.terminal.progress import show_events
from teal.terminal.writer import say, say_json, terminal_console, visible_text

SOURCE = Path(teal.__file__).parent
CLIPBOARD = "\x1b]52;c;cm0gLXJmIH4=\x07"  # writes the clipboard of the terminal's owner
HOSTILE = f"a\u202e{CLIPBOARD}\x9b2J\x08\r\x7f\u2066\ud800b"
# Processes of their own, whose output is a log or a protocol, and never a terminal's.
OWN_PROCESSES = {
    "laptop/fetch.py",
    "laptop/keeper.py",
    "laptop/revive.py",
    "laptop/versions.py",
    "release/simulate.py",
    "release/watchdog.py",
}


def orders(written: str) -> list[str]:
    return [one for one in written if one != "\n" and not one.isprintable()]


def test_orders_are_shown_by_their_number_and_text_stays() -> None:
    assert visible_text(HOSTILE) == r"a\u202e\x1b]52;c;cm0gLXJmIH4=\x07\x9b2J\x08\x0d\x7f\u2066\ud800b"
    for text in ("Überschrift\tund\nZeile", "مرحبا\u200fبك", "日本語 — …", ""):
        assert visible_text(text) == text


def test_what_is_said_is_plain_and_json_is_exact(capsys: pytest.CaptureFixture[str]) -> None:
    say(HOSTILE)
    say(HOSTILE, error=True)
    say_json({"title": HOSTILE})
    written = capsys.readouterr()
    lines = written.out.splitlines()
    assert orders(written.out) == orders(written.err) == []
    assert json.loads(lines[-1]) == {"title": HOSTILE}


@pytest.mark.parametrize("colors", [False, True])
def test_a_console_writes_its_own_colors_and_no_order_of_a_text(colors: bool) -> None:
    file = io.StringIO()
    screen = terminal_console(file=file, force_terminal=colors, color_system="standard" if colors else None, width=200)
    table = Table(HOSTILE)
    table.add_row(f"[red]{HOSTILE}[/red]")
    for shown in (HOSTILE, Text(HOSTILE), table, present.step_line(Event("step", "ok", HOSTILE))):
        screen.print(shown)
    found = {
        "answer": HOSTILE,
        "citations": [{"title": HOSTILE, "passage": HOSTILE}],
        "nearest": [{"title": HOSTILE, "passage": HOSTILE}],
        "label": HOSTILE,
        "degraded": HOSTILE,
    }
    screen.print(present.answer_text(HOSTILE, found))
    written = file.getvalue()
    assert written.count(r"\x1b]52;c;") >= 11
    for order in ("\x1b]", "\x07", "\x9b", "\x08", "\r", "\u202e"):
        assert order not in written
    assert ("\x1b[" in written) is colors


def test_errors_and_events_reach_the_terminal_plain(capsys: pytest.CaptureFixture[str]) -> None:
    error = BadInput(HOSTILE, where=HOSTILE, next="teal status")
    cli.fail(error.fields(), str(error), as_json=False)
    show_events(iter([Event(HOSTILE, "ok", HOSTILE)]), as_json=False)
    written = capsys.readouterr()
    assert orders(written.out) == orders(written.err) == []
    assert r"\x1b]52" in written.out
    assert r"\x1b]52" in written.err


# What writes where a terminal may be, however it is come by: by a call, by a name that is kept for later, by its file, or by a child that inherits it.
WRITERS = {"print", "rich.print", "typer.echo", "typer.secho", "click.echo", "click.secho", "sys.stdout", "sys.stderr",
           "sys.__stdout__", "sys.__stderr__", "os.write", "traceback.print_exc", "traceback.print_exception", "logging.StreamHandler"}  # fmt: skip
FILES = {"/dev/tty", "/dev/stdout", "/dev/stderr", "/dev/fd/1", "/dev/fd/2", "/proc/self/fd/1", "/proc/self/fd/2"}
CHILDREN = {"subprocess.run", "subprocess.Popen", "subprocess.call", "subprocess.check_call", "os.system", "os.popen"}


def past_the_writer(source: str) -> list[str]:
    """Everything in a module that may write past the writer, with its line."""
    tree, names, found = ast.parse(source), dict[str, str](), list[str]()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names |= {
                one.asname or one.name.partition(".")[0]: one.name if one.asname else one.name.partition(".")[0]
                for one in node.names
            }
        elif isinstance(node, ast.ImportFrom):
            names |= {one.asname or one.name: f"{node.module}.{one.name}" for one in node.names}

    def spelled(node: ast.expr) -> str:
        head, dot, rest = ast.unparse(node).partition(".")
        return f"{names.get(head, head)}{dot}{rest}"

    for node in ast.walk(tree):
        if isinstance(node, ast.Name | ast.Attribute) and spelled(node) in WRITERS:
            found.append(f"{node.lineno} {spelled(node)}")
        elif isinstance(node, ast.Constant) and node.value in FILES:
            found.append(f"{node.lineno} {node.value}")
        elif isinstance(node, ast.Call) and spelled(node.func) == "rich.console.Console":  # as a type it is no way
            found.append(f"{node.lineno} {spelled(node.func)}")
        elif isinstance(node, ast.Call) and spelled(node.func) in CHILDREN:
            given = {keyword.arg for keyword in node.keywords}
            if not given & {"capture_output", "stdout", None}:  # None: `**options`, which are another function's
                found.append(f"{node.lineno} {spelled(node.func)} without stdout")
    return found


@pytest.mark.parametrize(
    "source",
    [
        "print(title)",
        "import sys\nsys.stdout.write(title)",
        "import sys\nsys.stdout.buffer.write(title.encode())",
        "import sys\nout = sys.stdout\nout.write(title)",
        "from sys import stdout as out\nout.buffer.write(b'')",
        "import sys as system\nsystem.__stderr__.write(title)",
        "import json, sys\njson.dump(title, sys.stdout)",
        "import os\nos.write(1, title)",
        "from os import write\nwrite(2, title)",
        "open('/dev/tty', 'w').write(title)",
        "from rich import print as show\nshow(title)",
        "from rich.console import Console\nConsole().print(title)",
        "import typer\ntyper.echo(title)",
        "import subprocess\nsubprocess.run(['cat', title])",
        "import traceback\ntraceback.print_exc()",
    ],
)
def test_every_way_past_the_writer_is_seen(source: str) -> None:
    assert past_the_writer(source)


def test_the_writer_s_own_way_is_none() -> None:
    assert (
        past_the_writer(
            "from teal.terminal.writer import say\nimport subprocess\nsay(subprocess.run(['x'], capture_output=True))"
        )
        == []
    )


def test_no_command_writes_past_the_writer() -> None:
    around = {
        name: found
        for path in sorted(SOURCE.rglob("*.py"))
        if (name := path.relative_to(SOURCE).as_posix()) != "terminal/writer.py" and name not in OWN_PROCESSES
        if (found := past_the_writer(path.read_text()))
    }
    assert around == {}
