"""Measures how fast documents become findable, compared with the model alone on the same texts in the same run."""

from __future__ import annotations

import asyncio
import json
import time
import urllib.request
from collections.abc import Sequence
from typing import Any, Final

from loadtests.bench import client, straight
from loadtests.bench.processes import Stack, cpu_used

SENT_PER_SECOND: Final = 200  # faster than any CPU can embed, so that the worker never waits for documents
WAIT_SECONDS: Final = 120.0
LOOK_SECONDS: Final = 0.05


def ingest_and_measure(stack: Stack, port: int, key: str, documents: Sequence[tuple[str, str]]) -> dict[str, float]:
    """Send the documents and wait until all are findable; returns passages a second and CPU for each passage."""
    alone = straight.model(stack.env(), documents)
    headers = {"Authorization": f"Bearer {key}", "Content-Type": "application/json"}
    bodies = [json.dumps({"title": title, "text": text}).encode() for title, text in documents]
    already = _status(port, key)
    goal = already["documents"]["indexed"] + len(documents)
    worker = stack.running["worker"].pid
    before, began = cpu_used(worker), time.perf_counter()
    posts = [client.post_request("/v1/documents", body, headers) for body in bodies]
    sample = asyncio.run(client.run_open_loop(port, posts, per_second=SENT_PER_SECOND))
    if set(sample.statuses) != {202}:
        raise RuntimeError(f"documents were answered with {sample.statuses}: {sample.last_body[:500]!r}")
    while (now := _status(port, key))["documents"]["indexed"] < goal:
        if time.perf_counter() - began > WAIT_SECONDS or now["documents"]["failed"]:
            raise TimeoutError(f"ingestion did not end well: {now}")
        time.sleep(LOOK_SECONDS)
    seconds = time.perf_counter() - began
    used = cpu_used(worker) - before
    passages = now["search"]["passages"] - already["search"]["passages"]
    rate, raw = passages / seconds, alone["passages"] / alone["seconds"]
    return {
        "passages": passages,
        "passages_per_s": rate,
        "model_alone_passages_per_s": raw,
        "share_of_model_alone": rate / raw,
        "cpu_ms_per_passage": (used.loop + used.others) * 1000 / passages,
        "model_alone_cpu_ms_per_passage": alone["cpu_seconds"] * 1000 / alone["passages"],
    }


def _status(port: int, key: str) -> dict[str, Any]:
    request = urllib.request.Request(f"http://127.0.0.1:{port}/v1/status", headers={"Authorization": f"Bearer {key}"})
    with urllib.request.urlopen(request, timeout=10) as answer:  # noqa: S310
        body: dict[str, Any] = json.load(answer)
    return body
