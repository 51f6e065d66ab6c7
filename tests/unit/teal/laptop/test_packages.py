"""What pip is asked for: pinned, alone, and as an archive."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from teal.errors import FetchFailed
from teal.laptop import packages

HASHED = "a" * 64


def _pip(monkeypatch: pytest.MonkeyPatch, *codes: int, brings: str | None = None, stderr: str = "") -> list[tuple[str, ...]]:
    """What pip is called with; it ends with these codes, one after the other, and brings a file when it ends with 0."""
    asked: list[tuple[str, ...]] = []
    left = list(codes)

    def run(command: tuple[str, ...], **_: object) -> subprocess.CompletedProcess[str]:
        asked.append(command)
        code = left.pop(0)
        if code == 0 and brings:
            (Path(command[command.index("--dest") + 1]) / brings).touch()
        return subprocess.CompletedProcess(command, code, "", stderr)

    monkeypatch.setattr(packages.subprocess, "run", run)
    return asked


def test_a_wheel_is_downloaded_by_its_hash_alone_and_never_built_or_installed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = _pip(monkeypatch, 0, brings="p-1-py3-none-any.whl")
    assert packages.download_wheel("p", "1", HASHED, tmp_path) == tmp_path / "p-1-py3-none-any.whl"
    (command,) = asked
    assert command[1:4] == ("-m", "pip", "download")
    assert {"--no-deps", "--require-hashes", "--only-binary=:all:"} <= set(command)
    assert (tmp_path / "requirements.txt").read_text() == f"p==1 --hash=sha256:{HASHED}\n"


def test_a_source_distribution_is_tried_with_a_build_of_its_own_when_this_environments_tools_do_not_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = _pip(monkeypatch, 1, 0, brings="p-1.tar.gz")
    assert packages.download_source("p", "1", HASHED, tmp_path) == tmp_path / "p-1.tar.gz"
    assert ["--no-build-isolation" in command for command in asked] == [True, False]


def test_another_file_than_the_pinned_one_is_said_in_words(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _pip(monkeypatch, 1, stderr="ERROR: THESE PACKAGES DO NOT MATCH THE HASHES FROM THE REQUIREMENTS FILE.")
    with pytest.raises(FetchFailed, match="SHA-256 is not the pinned one"):
        packages.download_wheel("p", "1", HASHED, tmp_path)
