"""How advice looks, and whom it is asked of."""

from __future__ import annotations

import json
from io import StringIO
from typing import Any

import pytest
from rich.console import Console

from teal import advise
from teal.cli import run
from teal.laptop import admin

ROWS: list[dict[str, Any]] = [
    {"part": "postgres", "about": "public.bulky", "found": "75 % of 40,000 rows are dead", "do": "VACUUM (ANALYZE) public.bulky",
     "why": "scans read dead rows too", "source": "PostgreSQL manual"},
    {"part": "postgres", "looked_at": "9 tables, 20 indexes", "advice": 1},
    {"part": "search", "skipped": "the embedded index has nothing to tune"},
]  # fmt: skip


def test_advice_says_what_was_found_what_to_do_and_why() -> None:
    out = StringIO()
    Console(file=out, width=200).print(advise.advice_table(ROWS))
    said = out.getvalue()
    for text in (
        "public.bulky: 75 % of 40,000 rows are dead",
        "do:  VACUUM (ANALYZE) public.bulky",
        "why: scans read dead rows too (PostgreSQL manual)",
    ):
        assert text in said
    assert "9 tables, 20 indexes; advice: 1" in said
    assert "search: the embedded index has nothing to tune" in said


def test_the_command_asks_the_stack_s_own_admin_command(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    asked: list[tuple[str, ...]] = []

    def answer(_: object, arguments: tuple[str, ...]) -> list[dict[str, Any]]:
        asked.append(arguments)
        return ROWS

    monkeypatch.setattr(admin, "run_on", answer)
    assert run(["advise", "--json"]) == 0
    assert asked == [("advise",)]
    assert [json.loads(line) for line in capsys.readouterr().out.splitlines()] == ROWS
