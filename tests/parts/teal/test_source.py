"""What git and the lock say of a tree."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from teal.release.source import LOCK, source_of

pytestmark = pytest.mark.integration


def git(tree: Path, *arguments: str) -> str:
    whom = ("-c", "user.name=Ann", "-c", "user.email=ann@example.org")
    return subprocess.run(["git", "-C", str(tree), *whom, *arguments], capture_output=True, text=True, check=True).stdout.strip()


def test_a_trees_commit_branch_author_and_packages_are_read_and_a_change_makes_it_dirty(tmp_path: Path) -> None:
    git(tmp_path, "init", "--quiet", "--initial-branch", "topic")
    (tmp_path / LOCK).write_text("a==1.0 \\\n    --hash=sha256:0\nb==2.1 ; python_version < '4'\n")
    git(tmp_path, "add", ".")
    git(tmp_path, "commit", "--quiet", "-m", "first")
    found = source_of(tmp_path)
    assert (found.commit, found.dirty) == (git(tmp_path, "rev-parse", "HEAD"), False)
    assert (found.branch, found.author) == ("topic", "Ann <ann@example.org>")
    assert found.packages == {"a": "1.0", "b": "2.1"}
    (tmp_path / "new").touch()
    assert source_of(tmp_path).dirty


def test_a_folder_that_is_no_checkout_has_no_commit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("GITHUB_REF_NAME", raising=False)
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path))
    found = source_of(tmp_path)
    assert (found.commit, found.dirty, found.branch, found.packages) == ("", False, "", {})
    assert source_of(tmp_path / "missing") == found
