"""Compares two versions of the app on the same data. They are measured in turn, so that the machine's noise affects both."""

from __future__ import annotations

import io
import statistics
import subprocess
import tarfile
from collections.abc import Callable
from itertools import islice
from pathlib import Path
from typing import Any, Final

from loadtests.bench import corpus
from loadtests.bench.measure import CACHED_QUERIES, Bench, Row
from loadtests.bench.processes import Stack
from loadtests.loopback import free_port

SHOWN: Final = ("loop_cpu_ms", "others_cpu_ms", "p50_ms")
_NAME_WIDTH: Final = 32


def checkout(ref: str, folder: Path) -> Path:
    """Unpack the files of the commit `ref` into `folder`; raises `CalledProcessError` when git does not know it."""
    packed = subprocess.run(["git", "archive", "--format=tar", ref], capture_output=True, check=True).stdout  # noqa: S603, S607
    with tarfile.open(fileobj=io.BytesIO(packed)) as files:
        files.extractall(folder, filter="data")
    return folder


def compare(
    stack: Stack, key: str, ref: str, repetitions: int, seed: int, elastic_port: int | None, say: Callable[[str], None]
) -> dict[str, Any]:
    """{scenario: {measure: {before, after, ratio}}}: medians of both, and the median of the ratios within each repetition."""
    code = {"before": checkout(ref, stack.folder / "before"), "after": Path.cwd()}
    redis = stack.settings.get("REDIS_URL")
    benches = {}
    for number, (name, folder) in enumerate(code.items(), start=1):
        ports = free_port(), free_port()
        own = {"REDIS_URL": redis.rpartition("/")[0] + f"/{number}"} if redis else {}  # one database each
        stack.app(name, ports[0], code=folder, **own)
        if redis:
            stack.app(f"{name}-redis", ports[1], code=folder, TEAL_CACHE_BYTES="1", **own)
        fresh = corpus.queries(seed)
        cached = list(islice(fresh, CACHED_QUERIES))
        benches[name] = Bench(
            stack, key, name, ports[0], (f"{name}-redis", ports[1]) if redis else None, elastic_port, fresh, cached
        )
        benches[name].warm_up()
    say("warm")
    rows: list[dict[str, dict[str, Row]]] = []
    for number in range(repetitions):
        order = list(benches)[:: 1 if number % 2 else -1]  # so that neither is always the first
        rows.append({name: benches[name].searches() for name in order})
        say(f"repetition {number + 1} of {repetitions}")
    return {
        scenario: {
            measure: _pair([(one["before"][scenario][measure], one["after"][scenario][measure]) for one in rows])
            for measure in SHOWN
        }
        for scenario, row in rows[0]["after"].items()
        if set(SHOWN) <= row.keys()
    }


def _pair(pairs: list[tuple[float, float]]) -> dict[str, float]:
    return {
        "before": statistics.median(before for before, _ in pairs),
        "after": statistics.median(after for _, after in pairs),
        "ratio": statistics.median(after / before if before else 1.0 for before, after in pairs),
    }


def paired_table(found: dict[str, Any]) -> str:
    """Scenarios, one a line: before, after and ratio of each measure."""
    lines = [" " * _NAME_WIDTH + "".join(f"{name:>28}" for name in ("event loop CPU, ms", "other threads, ms", "p50, ms"))]
    for scenario, row in found.items():
        cells = (f"{one['before']:.3f} {one['after']:.3f} ({one['ratio']:.2f})" for one in row.values())
        lines.append(f"{scenario:{_NAME_WIDTH}}" + "".join(f"{cell:>28}" for cell in cells))
    return "\n".join([*lines, "(before, after, and the median of after / before within one repetition)"])
