"""The workflows as data: jobs, steps and the shell lines in them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / ".github"
USES = re.compile(r"^\s*(?:-\s+)?uses:\s*(\S+)(?:\s+#\s*(\S+))?", re.MULTILINE)


@dataclass(frozen=True)
class Workflow:
    name: str
    text: str
    document: dict[Any, Any]

    @property
    def triggers(self) -> dict[str, Any]:
        found = self.document[True]  # YAML 1.1 reads the key `on` as a truth value
        return found if isinstance(found, dict) else dict.fromkeys([found] if isinstance(found, str) else found)

    @property
    def jobs(self) -> dict[str, dict[str, Any]]:
        found: dict[str, dict[str, Any]] = self.document["jobs"]
        return found

    def steps(self) -> Iterator[tuple[str, dict[str, Any]]]:
        for name, job in self.jobs.items():
            for step in job["steps"]:
                yield name, step


def workflows() -> list[Workflow]:
    paths = sorted((FOLDER / "workflows").glob("*.yml"))
    return [Workflow(path.stem, text := path.read_text(encoding="utf-8"), yaml.safe_load(text)) for path in paths]


def used() -> list[tuple[str, str, str | None]]:
    """(file, action@commit, version in the comment) of every use, in workflows and in the repository's own actions."""
    paths = [*(FOLDER / "workflows").glob("*.yml"), *(FOLDER / "actions").rglob("action.yml")]
    found = [(path.name, match[1], match[2]) for path in paths for match in USES.finditer(path.read_text(encoding="utf-8"))]
    return [row for row in found if not row[1].startswith("./")]


def commands(script: str) -> Iterator[list[str]]:
    """Words of each simple command in a script, continued lines joined; redirections and what follows a pipe cut off."""
    for line in script.replace("\\\n", " ").splitlines():
        for part in re.split(r"\|\|?|&&|;|>|\bdo\b|\bthen\b", line):
            words = [word.strip("\"'") for word in part.split()]
            if words:
                yield words
