"""Reads the source of a tree: its commit from git, its packages from its lock."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path
from typing import Final

from teal.record.source import ReleaseSource

LOCK: Final = "requirements.lock"
GIT_SECONDS: Final = 10.0  # `git status` of a large tree on a cold disk
_PINNED: Final = re.compile(r"^([A-Za-z0-9._-]+)==([^\s;\\]+)", re.MULTILINE)


def source_of(tree: Path) -> ReleaseSource:
    """The source of a tree as it is now; unreadable facts are empty.
    On GitHub the branch is the workflow run's, as its checkout has none."""
    commit = _git(tree, "rev-parse", "HEAD") if tree.is_dir() else ""
    return ReleaseSource(
        commit=commit,
        dirty=bool(commit and _git(tree, "status", "--porcelain")),
        branch=(commit and _git(tree, "branch", "--show-current")) or os.environ.get("GITHUB_REF_NAME", ""),
        author=commit and _git(tree, "log", "-1", "--format=%an <%ae>"),
        packages=packages(tree / LOCK),
    )


def packages(lock: Path) -> dict[str, str]:
    """Each pinned package of a lock with its version; none when there is no such file."""
    try:
        return dict(_PINNED.findall(lock.read_text(encoding="utf-8")))
    except OSError:
        return {}


def _git(tree: Path, *arguments: str) -> str:
    try:
        done = subprocess.run(  # noqa: S603
            ["git", "-C", str(tree), *arguments],  # noqa: S607 - the operator's own git
            capture_output=True, text=True, timeout=GIT_SECONDS, check=False,
        )  # fmt: skip
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""
