"""A project of its own in a temporary folder that runs a program of this repository: nothing here is written to."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import psutil
import yaml

from infra.evaluation.evaluate import ROOT

COMMAND_SECONDS: Final = 600.0  # the slowest takes half a minute alone on two cores; a test's own limit usually comes first


@dataclass(frozen=True)
class Ended:
    """How one command ended."""

    code: int
    out: str
    err: str

    @property
    def text(self) -> str:
        return f"{self.out}\n{self.err}"


@dataclass(frozen=True)
class Workspace:
    """A Pulumi project with a file backend. `folder` holds project and stack files, state and Pulumi's home; `more`: variables besides."""

    folder: Path
    providers: str
    more: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def make(cls, folder: Path, project: str, main: Path, providers: str) -> Workspace:
        """`main`: folder of the program's `__main__.py`."""
        (folder / "state").mkdir(parents=True)
        runtime = {"name": "python", "options": {"virtualenv": sys.prefix}}
        (folder / "Pulumi.yaml").write_text(yaml.safe_dump({"name": project, "main": str(main), "runtime": runtime}))
        return cls(folder, providers)

    @property
    def environment(self) -> dict[str, str]:
        return {
            "PULUMI_BACKEND_URL": f"file://{self.folder / 'state'}",
            "PULUMI_HOME": str(self.folder / "home"),
            "PULUMI_CONFIG_PASSPHRASE": "engine-tests",
            "PULUMI_DEBUG_PROVIDERS": self.providers,
            "PULUMI_DISABLE_AUTOMATIC_PLUGIN_ACQUISITION": "true",
            "PULUMI_SKIP_UPDATE_CHECK": "true",
            "NO_COLOR": "1",
            "GOMAXPROCS": "2",
            "PYTHONPATH": str(ROOT),  # an editable install knows only the packages that were there when it was made
            **self.more,
        }

    def stack(self, name: str, config: Mapping[str, Any]) -> None:
        """Make a stack with this configuration."""
        (self.folder / f"Pulumi.{name}.yaml").write_text(yaml.safe_dump({"config": dict(config)}))
        self.must("stack", "init", name)

    def configure(self, name: str, config: Mapping[str, Any]) -> None:
        """Give a stack another configuration."""
        file = self.folder / f"Pulumi.{name}.yaml"
        file.write_text(yaml.safe_dump({**yaml.safe_load(file.read_text()), "config": dict(config)}))

    def run(self, *arguments: str) -> Ended:
        """One command; never waits for an answer."""
        binary = shutil.which("pulumi")
        assert binary is not None
        ended = subprocess.run(
            [binary, *arguments, "--non-interactive"], cwd=self.folder, env={**os.environ, **self.environment},
            capture_output=True, text=True, timeout=COMMAND_SECONDS, check=False,
        )  # fmt: skip
        return Ended(ended.returncode, ended.stdout, ended.stderr)

    def start(self, *arguments: str) -> subprocess.Popen[bytes]:
        """One command, which `kill` ends while it runs."""
        binary = shutil.which("pulumi")
        assert binary is not None
        return subprocess.Popen(
            [binary, *arguments, "--non-interactive"], cwd=self.folder, env={**os.environ, **self.environment},
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip

    def must(self, *arguments: str) -> str:
        """One command that has to succeed; its standard output."""
        ended = self.run(*arguments)
        assert ended.code == 0, ended.text[-6000:]
        return ended.out

    def preview(self, stack: str, *more: str) -> dict[str, Any]:
        """`pulumi preview --json`."""
        found: dict[str, Any] = json.loads(self.must("preview", "--stack", stack, "--json", *more))
        return found

    def up(self, stack: str, *more: str) -> dict[str, int]:
        """`pulumi up`; how many resources were created, updated, deleted, left as they are."""
        self.must("up", "--stack", stack, "--yes", "--skip-preview", "--suppress-outputs", *more)
        return self.changes(stack)

    def changes(self, stack: str) -> dict[str, int]:
        """The counts of the last operation, from the stack's history."""
        history = json.loads(self.must("stack", "history", "--stack", stack, "--json", "--page-size", "1"))
        counts: dict[str, int] = history[0].get("resourceChanges") or {}
        return counts

    def state(self, stack: str) -> Sequence[Mapping[str, Any]]:
        """The resources of the state."""
        rows: list[dict[str, Any]] = json.loads(self.must("stack", "export", "--stack", stack))["deployment"].get("resources", [])
        return rows


def kill(process: subprocess.Popen[Any]) -> None:
    """As when its machine dies: the command, and its plugins and programs with it, which would go on for minutes."""
    running = psutil.Process(process.pid)
    for one in (running, *running.children(recursive=True)):
        with contextlib.suppress(psutil.NoSuchProcess):
            one.kill()
    process.wait()
