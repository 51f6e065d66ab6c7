"""Runs `python -m app.admin ...` with the running stack's settings and reads its JSON lines."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from teal.errors import AdminFailed, BadInput, OperatorError, StackDown
from teal.laptop.layout import Layout
from teal.laptop.open_traffic import open_traffic
from teal.laptop.program import file_of, read_program
from teal.laptop.state import APP_PROCESSES

TIMEOUT_SECONDS = 300  # migrations of a big catalog are the longest


def service_environment(layout: Layout) -> dict[str, str]:
    """The environment that the worker was started with: the running stack's settings, such as its database, not this shell's."""
    return dict(_process(layout)["env"])


def run_on(layout: Layout, arguments: tuple[str, ...]) -> list[dict[str, Any]]:
    """`run_admin` with the running stack's settings and its version's code."""
    part = _process(layout)
    return run_admin(arguments, part["env"], python=str(part["argv"][0]), cwd=layout.home)


def _process(layout: Layout) -> dict[str, Any]:
    """How the worker of the color with most of the traffic was started. If its program file is damaged, that of an app process of
    the color is used, which has the same settings. Raises StackDown when there is no file, and BadInput when all are damaged."""
    colors = ("green", "blue") if _mostly_green(layout) else ("blue", "green")
    for color in colors:
        files = [file_of(layout, name) for name in (f"{color}-worker", *(f"{color}-app-{slot}" for slot in range(APP_PROCESSES)))]
        there = [file for file in files if file.exists()]
        for file in there:
            if (found := read_program(file)) is not None:
                return found
        if there:
            raise BadInput(f"What says how {color}'s processes are started is damaged", where=str(there[0]), next="teal up")
    raise StackDown(str(layout.home))


def _mostly_green(layout: Layout) -> bool:
    try:
        return open_traffic(layout).read().green > 50  # percent
    except OperatorError:
        return False


def run_admin(arguments: tuple[str, ...], environ: Mapping[str, str], *, python: str = sys.executable,
        cwd: Path | None = None) -> list[dict[str, Any]]:  # fmt: skip
    """Run `python -m app.admin`; returns the JSON objects it printed. Raises AdminFailed with its message."""
    # The marks would make `teal up` take this short-lived process for a leftover; the log folder would hide its output.
    env = {name: value for name, value in environ.items() if not name.startswith("TEAL_STACK_")}
    label = " ".join(arguments[:2])
    try:
        ended = subprocess.run((python, "-m", "app.admin", *arguments), env=env, cwd=cwd, capture_output=True, text=True,  # noqa: S603
                               timeout=TIMEOUT_SECONDS, check=False)  # fmt: skip
    except subprocess.TimeoutExpired as error:
        raise AdminFailed(
            label, code="timeout", detail=f"It did not end within {TIMEOUT_SECONDS} s", action="teal status", bad_input=False
        ) from error
    rows = [row for line in ended.stdout.splitlines() if (row := _object(line)) is not None]
    problem = next((row["error"] for row in rows if isinstance(row.get("error"), dict)), None)
    if problem is not None or ended.returncode != 0:
        said = problem or {}
        last = (ended.stderr.strip().splitlines() or ["it said nothing"])[-1]
        raise AdminFailed(label, code=str(said.get("code", "admin-failed")), detail=str(said.get("detail", last)),
                          action=str(said.get("action", "teal doctor")), bad_input=ended.returncode == 2)  # fmt: skip
    return rows


def _object(line: str) -> dict[str, Any] | None:
    try:
        found = json.loads(line)
    except ValueError:
        return None
    return found if isinstance(found, dict) else None
