"""The target of a load test: an address, valid API keys, and a function that observes the target during the run."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

import psutil

from teal.errors import BadInput, StackDown
from teal.laptop import admin, reap, supervisor
from teal.laptop.address import address
from teal.laptop.layout import Layout
from teal.laptop.open_traffic import open_traffic
from teal.ports.target import Target
from teal.record.model import COLORS

KEYS: Final = 2  # a key may send 200 requests a second, so two are more than a laptop can answer
KEY_HOURS: Final = 2  # longer than the longest shape
LOOK_SECONDS: Final = 1.0
AWS_LOOK_SECONDS: Final = 10.0  # each look calls AWS and the cluster
REFRESH_LOOKS: Final = 5  # looks between two searches for the processes, which go through all processes of the machine


@dataclass(frozen=True, slots=True)
class LoadTarget:
    """The target of a load test. `look` returns, JSON-ready, what can be observed now:
    shares, replicas, CPU seconds used so far."""

    url: str
    keys: tuple[str, ...]
    ca: Path | None = None
    about: Mapping[str, object] = field(default_factory=dict)
    look: Callable[[], dict[str, Any]] = dict
    look_seconds: float = LOOK_SECONDS
    headers: Mapping[str, str] = field(default_factory=dict)  # of each request, secret ones among them


def laptop_load_target(layout: Layout, environ: Mapping[str, str], keys: Sequence[str]) -> LoadTarget:
    """The running stack of this machine, with keys that expire. Raises StackDown."""
    if not supervisor.is_up(layout):
        raise StackDown(str(layout.home))
    where = address(layout, environ)
    found = tuple(keys) or _given(environ) or _new_keys(layout)
    machine = f"{os.cpu_count()} CPUs, load average {os.getloadavg()[0]:.1f} at the start; the load comes from the same machine"
    return LoadTarget(where.url, found, where.ca, {"where": "laptop", "machine": machine}, LaptopProcesses(layout).look)


def aws_load_target(target: Target, keys: Sequence[str], environ: Mapping[str, str]) -> LoadTarget:
    """An environment on AWS. Without a given key, a Job makes a writer's key that expires, as for releases."""
    entry = target.traffic.entry("blue")  # only for the address: the header that chooses a color is not sent
    found = tuple(keys) or _given(environ) or (target.probe_headers["Authorization"].removeprefix("Bearer "),)

    def look() -> dict[str, Any]:
        shares = target.traffic.read()
        weights = {color: shares.of(color) for color in COLORS}
        return {"weights": weights, "replicas": sum(target.runtime.replicas(color) for color in COLORS if weights[color])}

    return LoadTarget(
        entry.url, found, Path(entry.ca) if entry.ca else None, {"where": target.name}, look, AWS_LOOK_SECONDS
    )  # fmt: skip


def anywhere(url: str, keys: Sequence[str], ca: Path | None, environ: Mapping[str, str]) -> LoadTarget:
    """A target of which only the address is known."""
    found = tuple(keys) or _given(environ)
    if not found:
        raise BadInput("A key with the role writer is needed", where=url, next="TEAL_KEY=... or --key")
    return LoadTarget(url.rstrip("/"), found, ca, {"where": url})


class LaptopProcesses:
    """Counts a laptop stack's app processes, and the CPU seconds that these and each other part have used."""

    def __init__(self, layout: Layout) -> None:
        self._layout, self._looks = layout, 0
        self._found: list[tuple[str, psutil.Process]] = []

    def look(self) -> dict[str, Any]:
        """Observe once. Processes that have just started or ended are noticed within five looks."""
        if self._looks % REFRESH_LOOKS == 0:
            own = [one for one in reap.find_leftovers(self._layout) if psutil.pid_exists(one.pid)]
            self._found = [(_kind(one.part), psutil.Process(one.pid)) for one in own]
        self._looks += 1
        cpu, alive = dict[str, float](), 0
        for kind, process in self._found:
            try:
                times = process.cpu_times()
            except psutil.Error:
                continue
            cpu[kind] = cpu.get(kind, 0.0) + times.user + times.system
            alive += kind == "app"
        shares = open_traffic(self._layout).read()
        weights = {color: shares.of(color) for color in COLORS}
        return {"weights": weights, "replicas": alive, "cpu_seconds": cpu.get("app", 0.0), "cpu": cpu}


def _kind(part: str) -> str:
    """The name under which a part is counted: `app` or `worker` for both colors together, else its own name.
    The embedded engine and SQLite run inside these two."""
    return next((kind for kind in ("app", "worker") if f"-{kind}" in part), part)


def _given(environ: Mapping[str, str]) -> tuple[str, ...]:
    return (environ["TEAL_KEY"],) if environ.get("TEAL_KEY") else ()


def _new_keys(layout: Layout) -> tuple[str, ...]:
    until = (datetime.now(UTC) + timedelta(hours=KEY_HOURS)).isoformat()
    command = ("keys", "create", "--role", "writer", "--name", "load", "--expires-at", until)
    return tuple(str(admin.run_on(layout, command)[-1]["key"]) for _ in range(KEYS))
