"""What a part is when `child.py` has become it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from teal.laptop import child
from teal.laptop.layout import Layout
from teal.laptop.program import Program, program_json


def _said(tmp_path: Path, part: Program, without: str = "") -> str:
    (tmp_path / "supervisord.pid").write_text(str(os.getpid()))
    rendered = json.loads(program_json(part, Layout(tmp_path))) | {"pidfile": str(tmp_path / "supervisord.pid")}
    rendered.pop(without, None)
    (tmp_path / "part.json").write_text(json.dumps(rendered))
    done = subprocess.run([sys.executable, "-I", child.__file__, str(tmp_path / "part.json")], capture_output=True, text=True, check=True)  # fmt: skip
    return done.stdout.strip()


@pytest.mark.parametrize(("nice", "without", "more"), [(0, "", 0), (5, "", 5), (5, "nice", 0)])
def test_a_part_is_as_nice_as_it_is_said_to_be(tmp_path: Path, nice: int, without: str, more: int) -> None:
    part = Program("p", (sys.executable, "-c", "import os; print(os.nice(0))"), {"PATH": os.defpath}, str(tmp_path), nice=nice)
    assert int(_said(tmp_path, part, without)) == os.nice(0) + more
