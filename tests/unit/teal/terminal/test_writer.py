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
from teal.terminal.progress import follow
from teal.terminal.writer import console, plain, say, say_json

SOURCE = Path(teal.__file__).parent
CLIPBOARD = "\x1b]52;c;cm0gLXJmIH4=\x07"  # writes the clipboard of the terminal's owner
HOSTILE = f"a\u202e{CLIPBOARD}\x9b2J\x08\r\x7f\u2066\ud800b"
# Processes of their own, whose output is a log or a protocol, and never a terminal's.
OWN_PROCESSES = {"laptop/fetch.py", "laptop/revive.py", "laptop/versions.py", "release/simulate.py", "release/watchdog.py"}


def orders(written: str) -> list[str]:
    return [one for one in written if one != "\n" and not one.isprintable()]


def test_orders_are_shown_by_their_number_and_text_stays() -> None:
    assert plain(HOSTILE) == r"a\u202e\x1b]52;c;cm0gLXJmIH4=\x07\x9b2J\x08\x0d\x7f\u2066\ud800b"
    for text in ("Überschrift\tund\nZeile", "مرحبا\u200fبك", "日本語 — …", ""):
        assert plain(text) == text


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
    screen = console(file=file, force_terminal=colors, color_system="standard" if colors else None, width=200)
    table = Table(HOSTILE)
    table.add_row(f"[red]{HOSTILE}[/red]")
    for shown in (HOSTILE, Text(HOSTILE), table, present.step(Event("step", "ok", HOSTILE))):
        screen.print(shown)
    found = {"answer": HOSTILE, "citations": [{"title": HOSTILE, "passage": HOSTILE}], "label": HOSTILE, "degraded": HOSTILE}
    screen.print(present.answer(HOSTILE, found))
    written = file.getvalue()
    assert written.count(r"\x1b]52;c;") >= 9
    for order in ("\x1b]", "\x07", "\x9b", "\x08", "\r", "\u202e"):
        assert order not in written
    assert ("\x1b[" in written) is colors


def test_errors_and_events_reach_the_terminal_plain(capsys: pytest.CaptureFixture[str]) -> None:
    error = BadInput(HOSTILE, where=HOSTILE, next="teal status")
    cli.fail(error.fields(), str(error), as_json=False)
    follow(iter([Event(HOSTILE, "ok", HOSTILE)]), as_json=False)
    written = capsys.readouterr()
    assert orders(written.out) == orders(written.err) == []
    assert r"\x1b]52" in written.out
    assert r"\x1b]52" in written.err


def test_no_command_writes_past_the_writer() -> None:
    around: list[str] = []
    for path in sorted(SOURCE.rglob("*.py")):
        name = path.relative_to(SOURCE).as_posix()
        if name == "terminal/writer.py" or name in OWN_PROCESSES:
            continue
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call):
                called = ast.unparse(node.func)
                if called in ("print", "Console", "typer.echo", "typer.secho", "sys.stdout.write", "sys.stderr.write"):
                    around.append(f"{name}:{node.lineno} {called}")
    assert around == []
