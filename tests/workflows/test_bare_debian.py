"""The script by which workflows run a command on a bare Debian, with stand-ins for `docker`, `go` and `apt-get`: what comes after the image's name
is run here, so that the quotes of three shells are tried."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from typing import Final

import pytest

SCRIPT: Final = Path(__file__).parents[2] / ".ci" / "bare-debian"
_DOCKER: Final = """#!/bin/bash
printf '%s\\n' "$@" > "$SEEN"
while [ "$1" != debian:12 ]; do shift; done
shift
exec "$@"
"""


@pytest.fixture
def environ(tmp_path: Path) -> dict[str, str]:
    for name, text in {"docker": _DOCKER, "go": "#!/bin/sh\necho /opt/go\n", "apt-get": "#!/bin/sh\n"}.items():
        program = tmp_path / name
        program.write_text(text)
        program.chmod(0o755)
    return {"PATH": f"{tmp_path}:{os.environ['PATH']}", "SEEN": str(tmp_path / "seen"), "HOME": str(tmp_path)}


def run(command: str, environ: dict[str, str], folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run([SCRIPT, command], env=environ, cwd=folder, capture_output=True, text=True, timeout=30, check=False)


def test_a_command_keeps_its_quotes_and_its_exit_code(environ: dict[str, str], tmp_path: Path) -> None:
    ended = run('printf "%s|" "-m weekly"; code=3; true && exit "$code"', environ, tmp_path)
    assert (ended.stdout, ended.returncode) == ("-m weekly|", 3), ended.stderr


def test_go_comes_first_the_checkout_is_mounted_and_nothing_may_be_skipped(environ: dict[str, str], tmp_path: Path) -> None:
    assert run("echo $PATH", environ, tmp_path).stdout.startswith("/usr/local/go/bin:")
    seen = Path(environ["SEEN"]).read_text().splitlines()
    assert {f"{tmp_path}:/src", "/opt/go:/usr/local/go:ro", "CI=true", "--privileged", "--rm"} <= set(seen)
