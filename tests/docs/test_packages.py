"""Hints name the system packages of the lists `.ci/packages*.txt`, and nothing else."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

from tests.services import left_out

ROOT = Path(__file__).parents[2]
LISTED = {
    line.split()[0]
    for file in (ROOT / ".ci").glob("packages*.txt")
    for line in file.read_text(encoding="utf-8").splitlines()
    if line and not line.startswith("#")
}
HINT = re.compile(r"\bapt(?:-get)? install ((?:[a-z][a-z0-9.+-]*[a-z0-9] ?)+)")


def test_every_hint_of_tests_and_laptop_names_a_listed_package() -> None:
    named = {}
    for path in (*ROOT.glob("tests/**/*.py"), *ROOT.glob("teal/**/*.py"), ROOT / "CONTRIBUTING.md", ROOT / "README.md"):
        for names in HINT.findall(path.read_text(encoding="utf-8")):
            named |= {name: str(path.relative_to(ROOT)) for name in names.split() if name not in LISTED}
    assert named == {}


def test_packages_that_are_missing_are_said_and_nothing_is_installed() -> None:
    """With no program on PATH all that are known by a program are missing."""
    said = subprocess.run(
        [*(["/usr/bin/env", "-i", "PATH=/nothing"]), "/usr/bin/python3", left_out.PACKAGES, "--missing"],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert {"chromium", "curl", "git", "openjdk-17-jre-headless"} <= set(said.stdout.split()) <= LISTED


def test_the_closing_table_counts_each_reason_once_the_most_frequent_first() -> None:
    lines = left_out.table(["Skipped: Java is missing. x", "Skipped: Go is missing. y", "Skipped: Go is missing. y"])
    assert [line.split(maxsplit=1) for line in lines[1:3]] == [["2", "Go is missing. y"], ["1", "Java is missing. x"]]


def test_without_anything_left_out_there_is_no_table() -> None:
    assert left_out.table([]) == []
