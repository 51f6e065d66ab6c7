"""What `teal doctor` finds on this machine, by asking it: programs, ports, Java."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from teal import cli


@pytest.fixture(autouse=True)
def _empty_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TEAL_HOME", str(tmp_path / ".teal"))


def test_doctor_names_a_command_for_everything_that_is_missing(capsys: pytest.CaptureFixture[str]) -> None:
    cli.run(["doctor", "--json"])
    rows = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert {"python", "disk", "caddy", "redis", "port", "model", "corpus", "jdk", "browser"} <= {row["part"] for row in rows}
    assert all(row["mend"] for row in rows if not row["ok"])
    assert next(row for row in rows if row["part"] == "model")["detail"].endswith("search is lexical only")
