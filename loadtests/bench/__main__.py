"""Measure the service on this machine: `make bench`, or `python -m loadtests.bench --help`. Ends by itself, in minutes."""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import platform
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

from loadtests.bench import corpus, elasticsearch_node, paired, report
from loadtests.bench.ingest import ingest_and_measure
from loadtests.bench.measure import CACHED_QUERIES, Bench
from loadtests.bench.processes import LIMIT_PER_SECOND, Stack, memory_mb
from loadtests.loopback import free_port

SEED: Final = 20
STARTS: Final = 3
_began: Final = time.monotonic()


def log_progress(text: str) -> None:
    """A line of progress, with the seconds since the start."""
    sys.stderr.write(f"[{time.monotonic() - _began:5.0f} s] {text}\n")


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m loadtests.bench", description=__doc__)
    parser.add_argument(
        "--elasticsearch", action="store_true", help="Search by Elasticsearch: ELASTICSEARCH_URL, or one started here."
    )
    parser.add_argument("--repetitions", type=int, default=5, choices=range(1, 21), metavar="1..20")
    parser.add_argument(
        "--against", metavar="GIT_REF", help="Compare searches with the app of another commit, on the same data; nothing else."
    )
    parser.add_argument("--documents", type=int, default=400, help="Synthetic documents, two to three passages each.")
    parser.add_argument("--json", type=Path, default=Path("artifacts/bench.json"), help="Where the numbers go.")
    return parser.parse_args()


@contextlib.contextmanager
def elasticsearch_address(wanted: bool, folder: Path) -> Iterator[str | None]:
    """Elasticsearch's address; None for the embedded engine."""
    given = os.environ.get("ELASTICSEARCH_URL")
    if not wanted or given:
        yield given if wanted else None
        return
    archive = elasticsearch_node.archive()
    if not archive.is_file():
        sys.exit("There is no Elasticsearch here: set ELASTICSEARCH_URL, or run `make fetch`.")
    with elasticsearch_node.start(archive, folder) as url:
        yield url


def measure(stack: Stack, address: str | None, options: argparse.Namespace) -> dict[str, Any]:
    port, redis_port = free_port(), free_port()
    redis = stack.redis()
    stack.settings = dict(stack.settings) | ({"REDIS_URL": redis} if redis else {})
    stack.admin("migrate")
    key = stack.admin("keys", "create", "--role", "admin", "--name", "bench")["key"]
    stack.spawn("worker", [sys.executable, "-m", "app.worker"])
    starts = []
    for number in range(1 if options.against else STARTS):
        starts.append(stack.app("app", port))
        if not options.against and number < STARTS - 1:
            stack.end("app")
    log_progress(f"ready after {', '.join(f'{seconds:.2f}' for seconds in starts)} s")
    documents = corpus.documents(options.documents, SEED)
    part = max(1, len(documents) // 3)
    ingested = []
    for at in range(0, 3 * part, part):
        ingested.append(ingest_and_measure(stack, port, key, documents[at : at + part]))
        log_progress(f"ingested {ingested[-1]['passages']:.0f} passages, {ingested[-1]['passages_per_s']:.0f}/s")
    memory = {"worker_after_ingestion_mb": memory_mb(stack.running["worker"].pid)}
    elastic_port = urlsplit(address).port if address else None
    if options.against:
        stack.end("app")
        return {"paired": paired.compare(stack, key, options.against, options.repetitions, SEED, elastic_port, log_progress)}
    if redis:  # the process's own cache has no room, so every cached search comes from Redis, where the other process stored it
        stack.app("app-redis", redis_port, TEAL_CACHE_BYTES="1")
    fresh = corpus.queries(SEED)
    cached = list(islice(fresh, CACHED_QUERIES))
    bench = Bench(stack, key, "app", port, ("app-redis", redis_port) if redis else None, elastic_port, fresh, cached)
    bench.warm_up()
    log_progress("warm")
    repetitions = []
    for number in range(options.repetitions):
        rows = bench.searches()
        repetitions.append(rows | bench.asks(rows["idle"]))
        log_progress(f"repetition {number + 1} of {options.repetitions}")
    memory["app_with_model_mb"] = memory_mb(stack.running["app"].pid)
    return {
        "requests": report.spread_by_measure(repetitions),
        "ratios": report.ratios(repetitions),
        "ingestion": report.single(ingested),
        "process": report.single([{"seconds_to_ready": one, **memory} for one in starts])
        | {f"idle_{name}": values for name, values in report.spread_by_measure(repetitions)["idle"].items()},
    }


def main() -> int:
    options = arguments()
    folder = Path(tempfile.mkdtemp(prefix="bench-"))
    with contextlib.ExitStack() as stack:
        stack.callback(shutil.rmtree, folder, ignore_errors=True)
        if options.elasticsearch:
            log_progress("starting Elasticsearch")
        address = stack.enter_context(elasticsearch_address(options.elasticsearch, folder))
        models = Path(os.environ.get("TEAL_MODEL_DIR", ".teal/models")).resolve()
        settings = {"TEAL_MODEL_DIR": str(models), "TEAL_INDEX": "bench"}
        settings |= {"TEAL_SEARCH": "elasticsearch", "ELASTICSEARCH_URL": address} if address else {}
        service = Stack(folder, settings)
        stack.callback(service.stop)
        result = run_description(address, models, options) | measure(service, address, options)
    options.json.parent.mkdir(parents=True, exist_ok=True)
    options.json.write_text(json.dumps(result, indent=1) + "\n")
    sys.stdout.write((paired.paired_table(result["paired"]) if options.against else report.bench_table(result)) + "\n")
    for line in result["about"].items():
        sys.stdout.write(f"{line[0]}: {line[1]}\n")
    log_progress(f"written to {options.json}")
    return 0


def run_description(address: str | None, models: Path, options: argparse.Namespace) -> dict[str, Any]:
    """The versions, machine and options that the numbers are valid for."""
    commit = subprocess.run(["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=False).stdout.strip()  # noqa: S607
    return {
        "about": {
            "engine": "Elasticsearch" if address else "embedded (SQLite FTS5 + sqlite-vec)",
            "corpus": f"{options.documents} synthetic documents (seed {SEED}): good for speed, says nothing of quality",
            "model": "present" if any(models.glob("*/model.onnx")) else "absent: words alone",
            "rate_limit": f"raised to {LIMIT_PER_SECOND:,} a second, counted all the same; auth, metrics, validation and logs on",
            "machine": f"{os.cpu_count()} CPUs, load {os.getloadavg()[0]:.1f} at the start, Python {platform.python_version()}",
            "commit": commit,
            "requests": "CPU without what the process uses idle; the event loop's thread is the app, other threads embed and run SQLite",
        }
    }


if __name__ == "__main__":
    sys.exit(main())
