"""A short soak on a real stack: faults of the catalogue, everything checked at the end, and nothing left over. And one that is asked to stop."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import psutil
import pytest

from teal import runbook
from teal.drill.catalogue import DRILLS
from teal.drill.measure import read_limits
from teal.drill.soak_judge import eligible, fault_plan
from teal.laptop.marks import HOME_MARK
from teal.laptop.program import find_program
from tests.services.required import require

pytestmark = [pytest.mark.integration, pytest.mark.long, pytest.mark.weekly, pytest.mark.timeout(600)]
ENDS_SECONDS = 400.0  # a start, two minutes, a fault under way, the search for what was accepted, and the end of the stack
SEED = 4


@pytest.fixture(autouse=True)
def programs() -> None:
    require("caddy and redis-server", "make up", bool(find_program("caddy") and find_program("redis-server")))


def _start(folder: Path, minutes: float) -> subprocess.Popen[str]:
    """A soak whose temporary files, its stack among them, are in `folder`."""
    command = [
        sys.executable,
        "-m",
        "teal.cli",
        "soak",
        "--minutes",
        f"{minutes:g}",
        "--seed",
        f"{SEED}",
        "--json",
        "--output",
        str(folder / "out"),
    ]
    return subprocess.Popen(command, env={**os.environ, "TMPDIR": str(folder)}, stdout=subprocess.PIPE, text=True)


def _lines(said: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in said.splitlines()]


def _left_over(folder: Path) -> list[str]:
    """The processes whose stack is in `folder`."""
    found = []
    for process in psutil.process_iter():
        try:
            if process.environ().get(HOME_MARK, "").startswith(str(folder)):
                found.append(process.name())
        except (psutil.Error, OSError):
            continue
    return found


def test_a_soak_causes_the_faults_of_its_seed_loses_nothing_and_ends_by_itself() -> None:
    with tempfile.TemporaryDirectory(prefix="soak-") as name:  # short: sockets are in it
        soak = _start(Path(name), 2)
        said, _ = soak.communicate(timeout=ENDS_SECONDS)
        *events, found = _lines(said)
        assert (found["reasons"], soak.returncode) == ([], 0)
        targets = read_limits(runbook.runbooks_folder() / "targets.yaml")
        planned = fault_plan(eligible(DRILLS, targets), SEED)
        caused = [fault["drill"] for fault in found["faults"]]
        assert caused
        assert caused == [drill.name for _, (_, drill) in zip(caused, planned, strict=False)]
        assert found["seed"] == SEED
        assert found["documents"] > 0
        assert any("min left" in event.get("detail", "") for event in events)
        assert {"app-0", "worker", "redis", "caddy"} <= {growth["part"] for growth in found["growths"]}
        assert [path.name for path in Path(name).iterdir()] == ["out"]
        assert _left_over(Path(name)) == []


def test_a_soak_that_is_asked_to_stop_tells_what_it_measured_and_leaves_nothing() -> None:
    with tempfile.TemporaryDirectory(prefix="soak-") as name:
        soak = _start(Path(name), 30)
        assert soak.stdout is not None
        first = ""
        while '"state": "progress"' not in first:  # a fault is caused, or half a minute of calm is over
            first = soak.stdout.readline()
            assert first, "the soak ended before its first fault"
        soak.send_signal(signal.SIGTERM)
        said, _ = soak.communicate(timeout=ENDS_SECONDS)
        found = _lines(said)[-1]
        assert soak.returncode == 1
        assert any("it was asked to stop" in reason for reason in found["reasons"])
        assert (found["lost"], found["doubled"], found["left_processes"]) == ([], 0, 0)
        assert found["requests"] > 0
        assert [path.name for path in Path(name).iterdir()] == ["out"]
        assert _left_over(Path(name)) == []
