"""A unit test that starts a process, uses the network, sleeps or loads moto fails, and is told where it belongs."""

from __future__ import annotations

import ast
import asyncio
import importlib
import os
import socket
import subprocess
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest

from tests.unit.ban import Ban, NotAUnitTest

HERE = Path(__file__).parent
BAN = Ban()  # beside the one that watches this test: both hear what happens
FORBIDDEN: dict[str, Callable[[], object]] = {
    "a process": lambda: subprocess.run(["true"], check=True),
    "a shell": lambda: os.system("true"),
    "a fork": os.fork,
    "a server": lambda: socket.socket().bind(("127.0.0.1", 0)),
    "a connection": lambda: socket.socket().connect(("127.0.0.1", 9)),
    "a name": lambda: socket.getaddrinfo("localhost", 80),
    "a sleep": lambda: time.sleep(0.01),
    "a sleep in a coroutine": lambda: asyncio.run(asyncio.sleep(0.01)),
    "moto": lambda: importlib.import_module("moto"),
}


@pytest.mark.usefixtures("unwatched")
@pytest.mark.parametrize("what", FORBIDDEN)
def test_what_a_unit_test_may_not_do_fails_where_it_is_done(what: str) -> None:
    with pytest.raises(NotAUnitTest, match="move it to the same room under tests/parts"), BAN.on("this test"):
        FORBIDDEN[what]()


@pytest.mark.usefixtures("unwatched")
def test_code_that_swallows_the_failure_does_not_hide_it() -> None:
    with pytest.raises(NotAUnitTest, match="this test starts a process"), BAN.on("this test"), suppress(Exception):
        subprocess.run(["true"], check=True)


def test_an_event_loop_and_a_turn_given_to_others_are_allowed() -> None:
    asyncio.run(asyncio.sleep(0))


def test_no_unit_test_imports_moto_or_what_starts_it() -> None:
    forbidden = ("moto", "tests.services.aws_server", "tests.services.aws_place")
    found = []
    for path in HERE.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            if isinstance(node, ast.ImportFrom):
                names = [node.module or "", *(f"{node.module}.{alias.name}" for alias in node.names)]
            found += [f"{path.relative_to(HERE)} imports {name}" for name in names if name.startswith(forbidden)]
    assert found == []
