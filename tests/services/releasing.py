"""A laptop stack of its own, trees to release to it, and what its load balancer saw."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from teal.drill.stack import DrillStack, own
from teal.laptop import reap
from teal.laptop.versions import PACKAGES
from tests.services.ports import free_port

PROJECT = Path(__file__).resolve().parents[2]
BAD = PROJECT / "tests" / "bad_versions"


@dataclass
class ReleaseStack(DrillStack):
    """Rules of its own for each release, and what was asked of each color."""

    rules: Mapping[str, object] = field(default_factory=dict)
    shell: Mapping[str, str] = field(default_factory=dict)  # what the operator's shell says besides

    def env(self) -> dict[str, str]:
        return super().env() | dict(own(self.home, self.port, self.rules).environ) | dict(self.shell)

    def down(self) -> None:
        self.teal("down")
        assert reap.find_leftovers(self.layout) == []

    @classmethod
    def running(cls, folder: Path, rules: Mapping[str, object]) -> Iterator[ReleaseStack]:
        """A stack in the folder, up; down at the end."""
        made = cls(folder / ".teal", free_port(), rules=rules)
        made.up()
        yield made
        made.down()

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


def wait_until(there: Callable[[], bool], seconds: float, said: Path, *, pause_seconds: float = 0.05) -> None:
    """Poll until it is so. Fails after `seconds` with the end of what the releaser wrote to `said`."""
    deadline = time.monotonic() + seconds
    while not there():
        assert time.monotonic() < deadline, said.read_text()[-2000:]
        time.sleep(pause_seconds)


def tree(folder: Path, name: str = "", text: str = "", active: str = "") -> Path:
    """A copy of the service's code. `name`: an overlay of tests/bad_versions, whose parts are appended to the files of the same path.
    `text`: a comment that makes it another version."""
    made = folder / "tree"
    shutil.rmtree(made, ignore_errors=True)
    for package in PACKAGES:
        shutil.copytree(PROJECT / package, made / package, ignore=shutil.ignore_patterns("__pycache__"))
    overlay = BAD / name
    for source in overlay.rglob("*.part") if name else ():
        target = (made / source.relative_to(overlay)).with_suffix("")
        target.parent.mkdir(parents=True, exist_ok=True)
        with target.open("a", encoding="utf-8") as file:
            file.write("\n\n" + source.read_text(encoding="utf-8").replace("@active@", active))
    with (made / "app" / "__init__.py").open("a", encoding="utf-8") as file:
        file.write(f"\n# {text or name}\n")
    return made
