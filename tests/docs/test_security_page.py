"""docs/security.md names only tests that exist, and every risk of both OWASP lists has one."""

from __future__ import annotations

import ast
import functools
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "docs" / "security.md").read_text(encoding="utf-8")
NAMED = re.compile(r"`(tests/[\w/]+\.py)::(\w+)`")
# The table of what each role can reach is made from the policies; tests/unit/infra/delivery/test_reach.py holds it to them.
WRITTEN = re.sub(r"<!-- reach: begin.*?<!-- reach: end -->", "", TEXT, flags=re.DOTALL)
ROWS = [[cell.strip() for cell in line.strip("|").split("|")] for line in WRITTEN.splitlines() if line.startswith("| ")]


@functools.cache
def functions_of(file: str) -> frozenset[str]:
    """Names of the test functions in a file, those in classes too."""
    tree = ast.parse((ROOT / file).read_text(encoding="utf-8"))
    return frozenset(node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef))


@pytest.mark.parametrize(("file", "name"), sorted(set(NAMED.findall(TEXT))))
def test_every_test_that_is_named_exists(file: str, name: str) -> None:
    assert name.startswith("test_")
    assert name in functions_of(file)


@pytest.mark.parametrize("risk", [f"LLM{number:02}" for number in range(1, 11)] + [f"API{number}" for number in range(1, 11)])
def test_every_risk_has_a_row_with_a_control_and_a_test(risk: str) -> None:
    (row,) = [row for row in ROWS if row[0].split()[0] == risk]
    _, control, test = row
    assert len(control) > 20
    assert NAMED.search(test)


def test_every_row_of_every_table_names_a_test() -> None:
    rows = [row for row in ROWS if row[-1] != "test"]
    assert len(rows) >= 33
    assert [row[0] for row in rows if not NAMED.search(row[-1])] == []
