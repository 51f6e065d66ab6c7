"""What the tests' own language host promises where Pulumi's own is not installed: it hides nothing of a program, and outlives no command."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from tests.engine.conftest import Engine
from tests.engine.workspace import Workspace

STACK = "dev"
WAIT_SECONDS = 60.0


@pytest.fixture
def workspace(engine: Engine, tmp_path: Path) -> Workspace:
    """A project whose program a test writes."""
    made = engine.open("teal", tmp_path)
    made.stack(STACK, {"teal:word": "configured"})
    return made


def write(folder: Path, program: str) -> None:
    (folder / "__main__.py").write_text(program)


def test_what_a_program_prints_and_exports_is_told(workspace: Workspace, tmp_path: Path) -> None:
    write(tmp_path, "import pulumi\nprint('printed')\npulumi.export('word', pulumi.Config().require('word'))\n")
    told = workspace.must("up", "--stack", STACK, "--yes", "--skip-preview")
    assert "printed" in told
    assert '"configured"' in told
    assert workspace.must("stack", "output", "word", "--stack", STACK).strip() == "configured"


def test_what_nobody_caught_is_told_with_its_place(workspace: Workspace, tmp_path: Path) -> None:
    write(tmp_path, "raise ValueError('not this')\n")
    ended = workspace.run("preview", "--stack", STACK)
    assert ended.code != 0
    assert "ValueError: not this" in ended.text
    assert f'File "{tmp_path}/__main__.py", line 1' in ended.text


def test_a_program_that_ends_without_a_word_has_failed(workspace: Workspace, tmp_path: Path) -> None:
    write(tmp_path, "import os\nos._exit(3)\n")
    ended = workspace.run("preview", "--stack", STACK)
    assert ended.code != 0
    assert "3" in ended.text


def test_nothing_is_left_of_a_command_that_was_killed(workspace: Workspace, tmp_path: Path) -> None:
    write(tmp_path, "import pathlib, time\npathlib.Path(__file__).with_name('runs').touch()\ntime.sleep(600)\n")
    command = ["pulumi", "preview", "--stack", STACK, "--non-interactive"]
    with subprocess.Popen(
        command,
        cwd=workspace.folder,
        env={**os.environ, **workspace.environment},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    ) as pulumi:
        wait_until((tmp_path / "runs").exists)
        started = psutil.Process(pulumi.pid).children(recursive=True)
        assert started
        pulumi.send_signal(signal.SIGKILL)
    wait_until(lambda: not psutil.wait_procs(started, timeout=0.1)[1])


def wait_until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + WAIT_SECONDS
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.1)
