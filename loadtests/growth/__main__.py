"""Measures the cost of a search as corpus, processes and load grow, on a real Elasticsearch: `python -m loadtests.growth`.
Takes about ten minutes."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import dataclasses
import json
import os
import signal
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

import psutil

from loadtests.bench import client, corpus
from loadtests.bench.__main__ import elasticsearch_address, log_progress
from loadtests.bench.processes import Cpu, Stack, cpu_used
from loadtests.growth.grown import grow
from loadtests.growth.knee import RateStep, first_step_behind, used_up
from loadtests.loopback import free_port
from loadtests.peers.index import ElasticsearchClient, ingest_documents

SEED: Final = 20
SIZES: Final = (1, 10, 30)
PROCESSES: Final = (1, 2, 4)
RATES: Final = (10.0, 30.0, 60.0, 90.0, 120.0, 180.0)
STEP_SECONDS: Final = 3.0
SETTLE_SECONDS: Final = 30.0  # at most: merging 20,000 vectors takes 20
QUIET: Final = 0.05  # of a core
WARM_UP: Final = 40  # searches, for each new process
ENGINE_WARM_UP: Final = 1500  # searches: a cold Java virtual machine takes five times the CPU


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m loadtests.growth", description=__doc__)
    parser.add_argument("--documents", type=int, default=200, help="Synthetic documents, 4 to 5 passages each: the corpus at 1x.")
    parser.add_argument("--json", type=Path, default=Path("artifacts/growth.json"), help="Where the numbers go.")
    return parser.parse_args()


def cpu_of(pids: Sequence[int]) -> Cpu:
    """The CPU used by these processes together."""
    used = [cpu_used(pid) for pid in pids]
    return Cpu(sum(one.loop for one in used), sum(one.others for one in used))


def listener(port: int) -> int:
    """The process that listens on a port of this machine."""
    found = next(one for one in psutil.net_connections("tcp") if one.laddr and one.laddr.port == port and one.status == "LISTEN")
    if found.pid is None:
        raise RuntimeError(f"nobody can be seen that listens on port {port}: run this as the engine's user, or as root")
    return int(found.pid)


async def requests_at_rate(ports: Sequence[int], requests: Sequence[bytes], rate: float) -> list[client.ResponseTimes]:
    """Send the requests at `rate` a second in all, distributed to the processes in turn."""
    parts = [requests[at :: len(ports)] for at in range(len(ports))]
    return await asyncio.gather(
        *(client.run_open_loop(port, part, per_second=rate / len(ports)) for port, part in zip(ports, parts, strict=True))
    )


def wait_for_idle_engine(engine_pid: int) -> None:
    """Wait until the engine has finished its background work, merging and compiling."""
    began = time.monotonic()
    while time.monotonic() - began < SETTLE_SECONDS:
        before = cpu_of([engine_pid])
        time.sleep(1.0)
        used = cpu_of([engine_pid]) - before
        if used.loop + used.others < QUIET:
            return


def stored(search: ElasticsearchClient, index: str, engine_pid: int) -> int:
    """Bytes on disk of the index's primary copy, after the engine has flushed and merged."""
    search.call("POST", f"/{index}/_flush")
    wait_for_idle_engine(engine_pid)
    return int(search.call("GET", f"/{index}/_stats/store")["_all"]["primaries"]["store"]["size_in_bytes"])


def measure_rate(pids: Sequence[int], ports: Sequence[int], engine_pid: int, requests: Sequence[bytes], rate: float) -> RateStep:
    """Measure one rate. Raises `RuntimeError` unless every answer is 200 and from no cache."""
    before, engine_before = cpu_of(pids), cpu_of([engine_pid])
    samples = asyncio.run(requests_at_rate(ports, requests, rate))
    used, engine_used = cpu_of(pids) - before, cpu_of([engine_pid]) - engine_before
    statuses = {status for one in samples for status in one.statuses}
    tiers = {tier for one in samples for tier in one.tiers}
    if statuses != {200} or tiers != {"miss"}:
        last = next(one.last_body for one in samples if one.last_body)
        raise RuntimeError(f"answers should be 200 and new, and were {statuses}, {tiers}: {last[:300]!r}")
    done = sorted(ms for one in samples for ms in one.done_ms)
    count, seconds = len(requests), max(one.seconds for one in samples)
    return RateStep(
        offered=rate,
        answered=count / max(seconds, count / rate),
        p50_ms=statistics.median(done),
        p99_ms=done[int(0.99 * len(done))],
        loop_ms=used.loop * 1000 / count,
        others_ms=used.others * 1000 / count,
        engine_ms=(engine_used.loop + engine_used.others) * 1000 / count,
    )


def measure_rates(stack: Stack, processes: int, engine_pid: int, searches: Iterator[bytes]) -> list[RateStep]:
    """Measure the rates, lowest first, with fresh app processes; stops after the first that is not kept up."""
    ports, names = [free_port() for _ in range(processes)], [f"app-{processes}-{number}" for number in range(processes)]
    for name, port in zip(names, ports, strict=True):
        stack.app(name, port)
    pids, found = [stack.running[name].pid for name in names], list[RateStep]()
    asyncio.run(requests_at_rate(ports, list(islice(searches, WARM_UP)), RATES[1]))
    wait_for_idle_engine(engine_pid)
    for rate in RATES:
        found.append(measure_rate(pids, ports, engine_pid, list(islice(searches, int(rate * STEP_SECONDS))), rate))
        if first_step_behind(found):
            break
    for name in names:
        stack.end(name)
    return found


def run(stack: Stack, address: str, options: argparse.Namespace) -> list[dict[str, Any]]:
    redis, port = stack.redis(), free_port()
    stack.settings = dict(stack.settings) | ({"REDIS_URL": redis} if redis else {})
    stack.admin("migrate")
    key = stack.admin("keys", "create", "--role", "admin", "--name", "growth")["key"]
    stack.spawn("worker", [sys.executable, "-m", "app.worker"])
    stack.app("app", port)
    documents = corpus.documents(options.documents, SEED)
    first = ingest_documents(port, key, documents)
    stack.end("worker")
    headers = {"Authorization": f"Bearer {key}", "Content-Type": "application/json"}
    searches = (client.post_request("/v1/search", json.dumps({"query": text}).encode(), headers) for text in corpus.queries(SEED))
    search, engine_pid, found, now = (
        ElasticsearchClient(address),
        listener(urlsplit(address).port or 80),
        list[dict[str, Any]](),
        1,
    )
    passages = list(search.documents("bench"))
    answers = asyncio.run(client.run_closed_loop(port, list(islice(searches, ENGINE_WARM_UP)), clients=4))
    about = {
        "answer_bytes": len(answers.last_body),
        "body_bytes_a_passage": sum(len(text.encode()) for _, text in documents) / first,
        "passages_a_document": first / len(documents),
    }
    stack.end("app")
    for size in SIZES:
        grow(search, "bench", passages, (size - now) * first, seed=size)
        now = size
        store_bytes = stored(search, "bench", engine_pid)
        log_progress(f"{size * first:,} passages, {store_bytes / (size * first):,.0f} bytes of disk each")
        for processes in PROCESSES:
            load = os.getloadavg()[0]
            found.append(
                {
                    "passages": size * first, "size": size, "processes": processes, "load_average": load,
                    "store_bytes": store_bytes, **about, "steps": measure_rates(stack, processes, engine_pid, searches),
                }
            )  # fmt: skip
            log_progress(line(found[-1], os.cpu_count() or 1))
    return found


def line(row: dict[str, Any], cores: int) -> str:
    """A line of text for one combination: each rate's cost and latency, and the knee."""
    parts = [
        f"{one.offered:g}/s: app {one.app_ms:.1f} + engine {one.engine_ms:.1f} ms CPU, p50 {one.p50_ms:.0f}, p99 {one.p99_ms:.0f} ms"
        for one in row["steps"]
    ]
    bent = first_step_behind(row["steps"])
    why = f"knee at {bent.offered:g}/s, {used_up(bent, row['processes'], cores)}" if bent else f"no knee up to {RATES[-1]:g}/s"
    return f"{row['size']}x, {row['processes']} processes, load {row['load_average']:.1f}: {'; '.join(parts)}; {why}"


def main() -> int:
    options = arguments()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that started processes are ended
    with contextlib.ExitStack() as parts:
        folder = Path(parts.enter_context(tempfile.TemporaryDirectory(prefix="growth-", ignore_cleanup_errors=True)))
        address = parts.enter_context(elasticsearch_address(True, folder))
        if address is None:
            raise RuntimeError("no Elasticsearch was started")
        models = Path(os.environ.get("TEAL_MODEL_DIR", ".teal/models")).resolve()
        settings = {"TEAL_MODEL_DIR": str(models), "TEAL_INDEX": "bench", "TEAL_SEARCH": "elasticsearch"}
        stack = Stack(folder, settings | {"ELASTICSEARCH_URL": address})
        parts.callback(stack.stop)
        found = run(stack, address, options)
    about = {"when": time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime()), "corpus": "synthetic, grown by copies that differ"}
    options.json.parent.mkdir(parents=True, exist_ok=True)
    options.json.write_text(json.dumps({"about": about, "growth": found}, indent=1, default=dataclasses.asdict) + "\n")
    sys.stdout.write("\n".join(line(row, os.cpu_count() or 1) for row in found) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
