"""The table that ends a run of tests: what was left out because this machine lacks a part, and the one command that brings it."""

from __future__ import annotations

import subprocess
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

PACKAGES = Path(__file__).parents[2] / ".ci" / "packages"


def table(reasons: Iterable[str]) -> list[str]:
    """Lines for the reasons of skipped tests, most frequent first; none if nothing was skipped."""
    counted = Counter(reason.removeprefix("Skipped: ") for reason in reasons)
    if not counted:
        return []
    lines = [f"{'tests':>5}  left out, because"]
    lines += [f"{count:>5}  {reason}" for reason, count in counted.most_common()]
    missing = missing_packages()
    if missing:
        lines += ["", f"missing system packages: {' '.join(missing)}. With them: sudo make packages && make test"]
    return lines


def missing_packages() -> list[str]:
    """Which packages of .ci/packages.txt this machine lacks."""
    return subprocess.run([PACKAGES, "--missing"], capture_output=True, text=True, check=True).stdout.split()
