"""A laptop stack of its own, trees to release to it, and what its load balancer saw."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from teal.drill import Users
from teal.stack import reap
from teal.stack.layout import Layout
from teal.stack.released import open_store
from teal.traffic.caddy import CaddyTraffic
from teal.traffic.port import Weights

PROJECT = Path(__file__).resolve().parents[1]
BAD = Path(__file__).with_name("bad_versions")
COMMAND_SECONDS = 200
CORPUS = {  # answers the golden questions of teal/release/golden.jsonl
    "Caching views": "To cache the output of a single view, use the cache_page decorator. It takes the seconds to cache the view.",
    "Queries": "To retrieve only some objects, refine the query set with filters: filter returns objects that match the parameters.",
    "Email": "To send an email with an attachment, make an EmailMessage and attach the file with attach_file before send.",
    "Passwords": "Django stores passwords with the PBKDF2 algorithm and a SHA256 hash, a password stretching mechanism.",  # pragma: allowlist secret
    "Commands": "To write a custom management command, make a class Command that extends BaseCommand in management/commands.",
}


@dataclass
class ReleaseStack:
    """Everything through the command line, as an operator would."""

    home: Path
    port: int
    rules: Mapping[str, object] = field(default_factory=dict)
    shell: Mapping[str, str] = field(default_factory=dict)  # what the operator's shell says besides

    @property
    def layout(self) -> Layout:
        return Layout(self.home)

    @property
    def url(self) -> str:
        return f"https://localhost:{self.port}"

    def env(self) -> dict[str, str]:
        kept = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith("TEAL_") and name not in ("DATABASE_URL", "REDIS_URL", "ELASTICSEARCH_URL")
        }
        own = {
            "TEAL_HOME": str(self.home),
            "TEAL_EMBEDDING": "none",
            "TEAL_RATE_LIMIT_PER_SECOND": "1000",
            "TEAL_BACKUP_HOURS": "0",
        }
        return kept | own | {"TEAL_RULES": json.dumps({"snapshot_hours": 0, **self.rules})} | dict(self.shell)

    def start(self, *arguments: str, to: Path | None = None) -> subprocess.Popen[str]:
        """The command; what it says goes to a pipe that must be read (a full one stops it), or to the file `to`."""
        return subprocess.Popen(
            [sys.executable, "-m", "teal.cli", *arguments],
            env=self.env(),
            cwd=self.home.parent,
            stdout=to.open("w") if to else subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def teal(self, *arguments: str) -> tuple[int, list[dict[str, Any]]]:
        """Exit code and JSON lines."""
        process = self.start(*arguments, "--json")
        try:
            said, _ = process.communicate(timeout=COMMAND_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            raise
        return process.returncode, lines(said)

    def up(self) -> None:
        code, said = self.teal("up", "--no-corpus", "--port", str(self.port))
        assert code == 0, said[-3:]

    def down(self) -> None:
        self.teal("down")
        assert reap.leftovers(self.layout) == []

    def key(self, role: str = "writer") -> str:
        code, said = self.teal("keys", "create", "--role", role)
        assert code == 0, said
        return str(said[0]["key"])

    def users(self, keys: tuple[str, ...], *, per_second: float, limit: int | None = None, documents: bool = True) -> Users:
        return Users(self.url, keys, self.layout.ca, per_second=per_second, limit=limit, documents=documents)

    def weights(self) -> Weights:
        return CaddyTraffic(self.layout.traffic, {}).read()

    def record(self) -> Any:
        return open_store(self.layout).read()[0]

    def processes(self) -> dict[int, str]:
        return {one.pid: one.part for one in reap.leftovers(self.layout)}

    def served(self, color: str) -> list[tuple[float, float, int]]:
        """Users' requests that the load balancer gave to a color: start and end (Unix seconds), status. Probes are left out."""
        found = []
        for path in sorted(self.layout.logs.glob("access*.log")):
            for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
                entry = json.loads(line)
                headers = entry["request"].get("headers", {})
                if entry.get("color") == color and "X-Teal-Probe" not in headers and entry["request"]["uri"].startswith("/v1/"):
                    found.append((entry["ts"] - entry["duration"], entry["ts"], entry["status"]))
        return sorted(found)


def lines(said: str) -> list[dict[str, Any]]:
    found = []
    for line in said.splitlines():
        try:
            row = json.loads(line)
        except ValueError:
            row = {"said": line}
        found.append(row if isinstance(row, dict) else {"said": line})
    return found


def tree(folder: Path, name: str = "", text: str = "", active: str = "") -> Path:
    """A copy of the service's code. `name`: an overlay of tests/bad_versions, whose parts are appended to the files of the same path.
    `text`: a comment that makes it another version."""
    made = folder / "tree"
    shutil.rmtree(made, ignore_errors=True)
    shutil.copytree(PROJECT / "app", made / "app", ignore=shutil.ignore_patterns("__pycache__"))
    overlay = BAD / name
    for source in overlay.rglob("*.part") if name else ():
        target = (made / source.relative_to(overlay)).with_suffix("")
        target.parent.mkdir(parents=True, exist_ok=True)
        with target.open("a", encoding="utf-8") as file:
            file.write("\n\n" + source.read_text(encoding="utf-8").replace("@active@", active))
    with (made / "app" / "__init__.py").open("a", encoding="utf-8") as file:
        file.write(f"\n# {text or name}\n")
    return made
