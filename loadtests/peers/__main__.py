"""Compares Teal with Haystack + Hayhooks, LangServe, LlamaIndex's server and a bare handler: `make bench-peers`, or
`python -m loadtests.peers --help`. Takes minutes."""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import json
import os
import platform
import signal
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any, Final

from loadtests.bench import corpus
from loadtests.bench.__main__ import elasticsearch_address, log_progress
from loadtests.bench.processes import Stack
from loadtests.loopback import free_port
from loadtests.peers import environments, measure, ratios, report
from loadtests.peers.contenders import LACKS, SERVERS, Contender, peers, teal
from loadtests.peers.index import ElasticsearchClient, copy_for_haystack, copy_for_llamaindex, ingest_documents

SEED: Final = 20
READY_SECONDS: Final = 90.0  # Haystack imports for 10 s on a busy machine
WARM_UP: Final = 60  # queries, before anything is measured
COMPARED: Final = 50  # queries whose ids are compared
LEAST_COSINE: Final = 0.5  # of a question's best passage: above it Teal asks the model instead of answering that it does not know
MODEL: Final = "mock,first=200ms,rate=200,tokens=40"
_SHARED: Final = """
import json
from app.models.registry import local_model
from app.answering import prompt
from app.search.fuse import SEMANTIC_WEIGHT
from app.search.elasticsearch.mappings import OVERSAMPLING
from app.text.analysis import STOP_WORDS
from app.settings import settings
config = settings()
model = local_model(config.embedding_model)
print(json.dumps({
    "candidates": config.candidates, "neighbours": OVERSAMPLING * config.candidates, "semantic_weight": SEMANTIC_WEIGHT,
    "stop_words": sorted(STOP_WORDS), "model_folder": str((config.model_dir / model.name).resolve()),
    "max_tokens": model.max_tokens, "pooling": model.pooling, "system": prompt.build("", []).system,
}))
"""


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m loadtests.peers", description=__doc__)
    parser.add_argument("--repetitions", type=int, default=5, choices=range(1, 21), metavar="1..20")
    parser.add_argument("--documents", type=int, default=250, help="Synthetic documents, 4 to 5 passages each.")
    parser.add_argument("--json", type=Path, default=Path("artifacts/bench-peers.json"), help="Where the numbers go.")
    parser.add_argument(
        "--lock", action="store_true", help="Compile the peers' locks anew, at the newest versions, and nothing else."
    )
    return parser.parse_args()


def common_work(stack: Stack, address: str, model_port: int) -> dict[str, Any]:
    """The settings that the peers must share with Teal, read from Teal itself."""
    done = subprocess.run(  # noqa: S603
        [sys.executable, "-c", _SHARED], env=stack.env(), capture_output=True, text=True, timeout=60, check=True
    )
    found: dict[str, Any] = json.loads(done.stdout)
    if found.pop("pooling") != "mean":
        raise ValueError("the peers pool by the mean of the token states: teach servers/same_work.py the model's own way")
    url = f"http://127.0.0.1:{model_port}/v1"
    return found | {"elasticsearch_url": address, "openai_url": url, "model": MODEL, "top_k": 10}


def start_peer(stack: Stack, contender: Contender, common: dict[str, Any]) -> measure.RunningContender:
    """Start a peer's process and wait until it answers. Raises `TimeoutError` with the end of its log."""
    programs, port, name = environments.ready(contender.environment or ""), free_port(), contender.name.replace(" ", "-")
    file = stack.folder / f"{name}.json"
    file.write_text(json.dumps(common | {"index": contender.index}))
    program, *rest = (part.format(port=port) for part in contender.command)
    extra = {"PEER_SETTINGS": str(file), "PYTHONPATH": str(SERVERS), "HAYSTACK_TELEMETRY_ENABLED": "False"}
    pid = stack.spawn(name, [str(programs / program), *rest], code=SERVERS, **extra, **contender.settings)
    running, began, problem = measure.RunningContender(contender, pid, port), time.monotonic(), "nothing"
    while time.monotonic() - began < READY_SECONDS and stack.running[name].poll() is None:
        try:
            running.send(["ready"], 10, 1)
            return running
        except (OSError, ExceptionGroup, measure.WrongAnswer) as error:
            problem = repr(error)
            time.sleep(0.2)
    tail = (stack.folder / f"{name}.log").read_text(errors="replace")[-3000:]
    raise TimeoutError(f"{contender.name} did not answer within {READY_SECONDS:.0f} s ({problem}); its log ends:\n{tail}")


def answerable_queries(port: int, key: str, fresh: Iterator[str]) -> Iterator[str]:
    """Queries that Teal answers with the model; for others it says that it does not know, which takes no time."""
    headers = {"Authorization": f"Bearer {key}", "Content-Type": "application/json"}
    for text in fresh:
        body = json.dumps({"query": text, "explain": True}).encode()
        request = urllib.request.Request(f"http://127.0.0.1:{port}/v1/search", body, headers)
        with urllib.request.urlopen(request, timeout=10) as answer:  # noqa: S310
            cosines = [hit["explain"].get("semantic_score") or 0.0 for hit in json.load(answer)["hits"]]
        if max(cosines, default=0.0) >= LEAST_COSINE:
            yield text


def run(stack: Stack, address: str, options: argparse.Namespace) -> dict[str, Any]:
    model_port, port = free_port(), free_port()
    stack.spawn("model", [sys.executable, "-m", "loadtests.mock_model", "--port", str(model_port)])
    redis = stack.redis()
    stack.settings = {
        **stack.settings, "TEAL_GENERATION": "openai", "TEAL_GENERATION_MODEL": MODEL,
        "TEAL_OPENAI_BASE_URL": f"http://127.0.0.1:{model_port}/v1", **({"REDIS_URL": redis} if redis else {}),
    }  # fmt: skip
    stack.admin("migrate")
    key = stack.admin("keys", "create", "--role", "admin", "--name", "bench")["key"]
    stack.spawn("worker", [sys.executable, "-m", "app.worker"])
    stack.app("teal", port)
    passages = ingest_documents(port, key, corpus.documents(options.documents, SEED))
    log_progress(f"ingested {passages} passages")
    stack.end("worker")  # it would only add noise
    search = ElasticsearchClient(address)
    for lean in (False, True):
        copy_for_haystack(search, "bench", "peers-haystack-lean" if lean else "peers-haystack", returns_vectors=not lean)
    copy_for_llamaindex(search, "bench", "peers-llamaindex")
    common = common_work(stack, address, model_port)
    running = [measure.RunningContender(teal(key), stack.running["teal"].pid, port)]
    for contender in peers():
        running.append(start_peer(stack, contender, common))
        log_progress(f"{contender.name} answers")
    fresh = corpus.queries(SEED)
    for one in running:
        one.send(list(islice(corpus.queries(SEED + 1), WARM_UP)), 10, measure.CLIENTS)
    overlaps = measure.overlaps(running, list(islice(fresh, COMPARED)))
    log_progress(f"ids shared with Teal: {', '.join(f'{name} {share:.1%}' for name, share in overlaps.items())}")
    ratios.demand_same_work(overlaps)
    rows, load = [], []
    for number in range(options.repetitions):
        asked = list(islice(answerable_queries(port, key, fresh), measure.QUESTIONS))
        load.append(os.getloadavg()[0])
        rows.append(measure.repetition(running, fresh, asked, number))
        log_progress(f"repetition {number + 1} of {options.repetitions}, load average {load[-1]:.1f}")
    return {
        "about": run_description(passages, load),
        "overlaps": overlaps,
        "summary": report.peers_summary(rows),
        "repetitions": rows,
    }


def run_description(passages: int, load: list[float]) -> dict[str, Any]:
    """The versions, machine and options that the numbers are valid for."""
    commit = subprocess.run(["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=False).stdout.strip()  # noqa: S607
    return {
        "when": time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime()),
        "machine": f"{os.cpu_count()} CPUs, load average {min(load):.1f} to {max(load):.1f}, Python {platform.python_version()}",
        "corpus": f"{passages:,} synthetic passages (seed {SEED}): good for speed, says nothing of quality",
        "model": f"{MODEL}: a mock",
        "lacks": LACKS,
        "commit": commit,
    }


def main() -> int:
    options = arguments()
    if options.lock:
        environments.compile_locks()
        return 0
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that started processes are ended
    with contextlib.ExitStack() as parts:
        folder = Path(parts.enter_context(tempfile.TemporaryDirectory(prefix="peers-", ignore_cleanup_errors=True)))
        for name in environments.NAMES:
            environments.ready(name)
        log_progress("environments are there; starting Elasticsearch")
        address = parts.enter_context(elasticsearch_address(True, folder))
        if address is None:
            raise RuntimeError("no Elasticsearch was started")
        models = Path(os.environ.get("TEAL_MODEL_DIR", ".teal/models")).resolve()
        settings = {
            "TEAL_MODEL_DIR": str(models), "TEAL_INDEX": "bench", "TEAL_SEARCH": "elasticsearch", "ELASTICSEARCH_URL": address,
        }  # fmt: skip
        stack = Stack(folder, settings)
        parts.callback(stack.stop)
        result = run(stack, address, options)
    options.json.parent.mkdir(parents=True, exist_ok=True)
    options.json.write_text(json.dumps(result, indent=1, default=dataclasses.asdict) + "\n")
    sys.stdout.write(report.peers_table(result["summary"], result["overlaps"]) + "\n\n")
    for name, value in result["about"].items():
        sys.stdout.write(f"{name}: {value}\n")
    log_progress(f"written to {options.json}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
