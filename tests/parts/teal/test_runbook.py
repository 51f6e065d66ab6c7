"""The form of runbooks, and what happens when one of their blocks is run."""

from __future__ import annotations

import os
import time
from pathlib import Path

import psutil

from teal import runbook


def _run(text: str, tmp_path: Path, timeout_seconds: float = 20, **environ: str) -> runbook.BlockResult:
    return runbook.run_block(
        runbook.CommandBlock("b", "Mitigation", text, 1), {**os.environ, **environ}, tmp_path, timeout_seconds=timeout_seconds
    )


def test_a_block_sees_its_variables_and_stops_at_the_first_command_that_fails(tmp_path: Path) -> None:
    done = _run('echo "$NAME" > name\nfalse | cat\necho never', tmp_path, NAME="ann")
    assert (done.exit_code, done.said) == (1, "")
    assert (tmp_path / "name").read_text() == "ann\n"
    unset = _run('echo "$NOT_SET_ANYWHERE"\necho never', tmp_path)
    assert unset.exit_code != 0
    assert "NOT_SET_ANYWHERE" in unset.said


def test_a_block_that_does_not_end_is_ended_with_what_it_started(tmp_path: Path) -> None:
    began = time.monotonic()
    done = _run(
        'sleep 60 & echo "$!"\nwait', tmp_path, timeout_seconds=3
    )  # bash takes 10 ms to its first word, and a busy machine longer
    assert done.exit_code is None
    assert time.monotonic() - began < 10
    deadline = began + 20
    while psutil.pid_exists(child := int(done.said)) and psutil.Process(child).status() != psutil.STATUS_ZOMBIE:
        assert time.monotonic() < deadline
        time.sleep(0.02)
