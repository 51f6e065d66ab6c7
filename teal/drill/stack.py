"""The laptop stack of a drill, a new one or the running one. It is operated through the command line, as an operator would."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from teal.client.service import Client
from teal.drill.corpus import CORPUS
from teal.drill.users import SimulatedUsers
from teal.errors import OperatorError
from teal.laptop import environments, reap, status, versions
from teal.laptop.address import address
from teal.laptop.layout import Layout
from teal.laptop.open_traffic import open_traffic
from teal.laptop.released import open_store
from teal.ports.traffic import Weights
from teal.record.model import Record

COMMAND_SECONDS = 200.0  # the longest command is a first `teal up`: half a minute on two busy cores, with Elasticsearch two
FILL_SECONDS = 60.0
POLL_SECONDS = 0.1
OUTSIDE = ("DATABASE_URL", "REDIS_URL", "ELASTICSEARCH_URL")  # not passed on: a drill's new stack starts its own parts
# Search by words alone needs no model; no rate limit may stop a drill's users; the drill takes snapshots itself.
OWN = {"TEAL_RATE_LIMIT_PER_SECOND": "1000", "TEAL_BACKUP_HOURS": "0"}


class CommandFailed(OperatorError):
    """A `teal` command did not do what the drill needs before it can begin."""

    code = "drill-command-failed"


@dataclass
class DrillStack:
    """A laptop stack. `environ`: the environment of its commands, besides TEAL_HOME."""

    home: Path
    port: int
    environ: Mapping[str, str] = field(default_factory=dict)

    @property
    def layout(self) -> Layout:
        return Layout(self.home)

    @property
    def url(self) -> str:
        return f"https://localhost:{self.port}"

    def env(self) -> dict[str, str]:
        """The environment for commands and runbooks, in which `teal` is the one of this Python environment."""
        path = os.pathsep.join((str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath)))
        return {**self.environ, "PATH": path, "TEAL_HOME": str(self.home)}

    def start(self, *arguments: str, to: Path | None = None) -> subprocess.Popen[str]:
        """Start a `teal` command. Its output goes to the file `to`,
        or to a pipe that the caller must read (a full pipe blocks the command)."""
        return subprocess.Popen(  # noqa: S603
            [sys.executable, "-m", "teal.cli", *arguments],
            env=self.env(),
            cwd=self.home.parent,
            stdout=to.open("w") if to else subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def teal(self, *arguments: str) -> tuple[int, list[dict[str, Any]]]:
        """Run a `teal` command; returns its exit code and JSON lines."""
        process = self.start(*arguments, "--json")
        try:
            said, _ = process.communicate(timeout=COMMAND_SECONDS)
        except subprocess.TimeoutExpired as error:
            process.kill()
            process.communicate()
            raise CommandFailed(f"`teal {' '.join(arguments)}` did not end within {COMMAND_SECONDS:.0f} s", where=str(self.home),
                                next="teal status") from error  # fmt: skip
        return process.returncode, lines(said)

    def must(self, *arguments: str) -> list[dict[str, Any]]:
        """Run a `teal` command; returns its JSON lines. Raises CommandFailed unless its exit code is 0."""
        code, said = self.teal(*arguments)
        if code != 0:
            last = said[-1] if said else {}
            error = last.get("error", last)
            raise CommandFailed(f"`teal {' '.join(arguments)}` ended with {code}: {error.get('what', error.get('said', 'no words'))}",
                                where=str(error.get("where", self.home)), next=str(error.get("next", "teal doctor")))  # fmt: skip
        return said

    def up(self, *arguments: str) -> None:
        self.must("up", "--no-corpus", "--port", str(self.port), *arguments)

    def new_key(self, role: str = "writer", name: str = "drill") -> tuple[str, str]:
        """A new key and its id."""
        said = self.must("keys", "create", "--role", role, "--name", name)[0]
        return str(said["key"]), str(said["id"])

    def key(self, role: str = "writer") -> str:
        return self.new_key(role)[0]

    def client(self, key: str | None = None) -> Client:
        """A client of the stack's API, with `key` or else the stack's admin key."""
        return Client(address(self.layout, {}, key))

    def fill(self) -> None:
        """Put CORPUS in, and wait until it is indexed. Raises CommandFailed."""
        with self.client() as client:
            sent = [str(client.send_text({"title": title, "text": text})["id"]) for title, text in CORPUS.items()]
            deadline = time.monotonic() + FILL_SECONDS
            while any(client.get(f"/v1/documents/{one}")["status"] != "indexed" for one in sent):
                if time.monotonic() > deadline:
                    raise CommandFailed(
                        f"The corpus was not indexed within {FILL_SECONDS:.0f} s", where=str(self.home), next="teal logs worker"
                    )
                time.sleep(POLL_SECONDS)

    def users(self, keys: tuple[str, ...], *, per_second: float, **options: Any) -> SimulatedUsers:
        return SimulatedUsers(self.url, keys, self.layout.ca, per_second=per_second, **options)

    def weights(self) -> Weights:
        return open_traffic(self.layout).read()

    def record(self) -> Record:
        return open_store(self.layout).read()[0]

    def healthy(self) -> bool:
        """Whether the stack is healthy as `teal status` reports it, without starting that command."""
        return status.status(self.layout, {}).healthy

    def processes(self) -> dict[int, str]:
        """The part of each process, by pid: all processes that carry the stack's mark."""
        return {one.pid: one.part for one in reap.find_leftovers(self.layout)}

    def pids(self, part: str) -> set[int]:
        return {pid for pid, name in self.processes().items() if name == part}

    def kill(self, part: str, number: signal.Signals = signal.SIGKILL) -> set[int]:
        """Send a signal to all processes of a part; returns their pids. Raises CommandFailed when there is none."""
        found = self.pids(part)
        if not found:
            raise CommandFailed(f"{part} does not run", where=str(self.home), next="teal status")
        for pid in found:
            os.kill(pid, number)
        return found


def own(
    home: Path, port: int, rules: Mapping[str, object], *, model: bool = False, settings: Mapping[str, str] | None = None
) -> DrillStack:
    """A new stack without the operator's settings and data. `model`: it uses the local embedding model.
    `settings`: more environment variables."""
    words_alone = {} if model else {"TEAL_EMBEDDING": "none"}
    kept = {name: value for name, value in os.environ.items() if not name.startswith("TEAL_") and name not in OUTSIDE}
    return DrillStack(
        home, port, kept | OWN | words_alone | {"TEAL_RULES": json.dumps({"snapshot_hours": 0, **rules})} | dict(settings or {})
    )


def lines(said: str) -> list[dict[str, Any]]:
    """The JSON objects of an output, one a line; a line that is no JSON becomes {"said": line}."""
    found = []
    for line in said.splitlines():
        try:
            row = json.loads(line)
        except ValueError:
            row = {"said": line}
        found.append(row if isinstance(row, dict) else {"said": line})
    return found


def another_version(stack: DrillStack, folder: Path, label: str) -> Path:
    """A tree for `teal release`: the active version's code with one more comment,
    so that it counts as another version but behaves the same."""
    record = stack.record()
    state = record.active_state
    if state is None:
        raise CommandFailed("No version is active", where=str(stack.home), next="teal up")
    version = versions.find_version(stack.layout, state.image)
    made = folder / label
    shutil.rmtree(made, ignore_errors=True)
    for package in ("app", "contract"):
        shutil.copytree(version.code / package, made / package, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy2(Path(version.folder) / environments.LOCK, made / environments.LOCK)
    with (made / "app" / "__init__.py").open("a", encoding="utf-8") as file:
        file.write(f"\n# {label}\n")
    return made
