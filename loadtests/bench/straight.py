"""The parts without the service around them, for comparison in the same run: the model alone, the search engine alone.

Each runs in a process of its own that has the service's settings, so that this package imports nothing of the service.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping, Sequence
from typing import Any, Final

_SECONDS: Final = 120

_MODEL: Final = """
import json, sys, time
from app.models.embed import open_embedder, passage_text
from app.text.chunk import chunk
from app.settings import settings
config = settings()
embedder = open_embedder(config)
texts = [passage_text(title, part.whole) for title, text in json.load(sys.stdin)
         for part in chunk(text, target_tokens=config.passage_tokens, overlap_tokens=config.passage_overlap_tokens)]
embedder.passages(texts[:20])
wall, used = time.perf_counter(), time.process_time()
embedder.passages(texts)
print(json.dumps({"passages": len(texts), "seconds": time.perf_counter() - wall, "cpu_seconds": time.process_time() - used}))
"""

_BODIES: Final = """
import json, sys
from app.models.embed import open_embedder, stamp
from app.search.elasticsearch.mappings import searches
from app.search.port import SearchQuery
from app.settings import settings
config = settings()
embedder = open_embedder(config)
for text in json.load(sys.stdin):
    vector = embedder.query(text) if embedder else None
    found = searches(SearchQuery(text, vector, config.candidates), stamp(config))
    lines = [line for _, body in found for line in ({"index": config.index}, body)]
    print(json.dumps("".join(json.dumps(line, separators=(",", ":")) + chr(10) for line in lines)))
"""

_EMBEDDED: Final = """
import asyncio, json, sys, time
from app.models.embed import open_embedder
from app.search.engines import open_reader
from app.search.port import SearchQuery
from app.settings import settings
config = settings()
embedder, reader, texts = open_embedder(config), open_reader(config), json.load(sys.stdin)
queries = [SearchQuery(text, embedder.query(text) if embedder else None, config.candidates) for text in texts]
async def main():
    for query in queries[:20]:
        await reader.candidates(query)
    used, taken = time.process_time(), []
    for query in queries:
        began = time.perf_counter()
        await reader.candidates(query)
        taken.append((time.perf_counter() - began) * 1000)
    print(json.dumps({"done_ms": taken, "cpu_seconds": time.process_time() - used}))
    await reader.close()
asyncio.run(main())
"""


def _run(code: str, env: Mapping[str, str], given: object) -> list[Any]:
    done = subprocess.run(  # noqa: S603
        [sys.executable, "-c", code],
        env=dict(env),
        input=json.dumps(given),
        capture_output=True,
        text=True,
        timeout=_SECONDS,
        check=False,
    )
    if done.returncode:
        raise RuntimeError(f"the comparison failed: {done.stderr[-2000:]}")
    return [json.loads(line) for line in done.stdout.splitlines()]


def model(env: Mapping[str, str], documents: Sequence[tuple[str, str]]) -> dict[str, float]:
    """Embed the documents' passages in one thread: {passages, seconds, cpu_seconds}."""
    measured: dict[str, float] = _run(_MODEL, env, documents)[0]
    return measured


def elasticsearch_bodies(env: Mapping[str, str], queries: Sequence[str]) -> list[bytes]:
    """For each query the `_msearch` body that the service would send."""
    return [body.encode() for body in _run(_BODIES, env, queries)]


def search_embedded(env: Mapping[str, str], queries: Sequence[str]) -> dict[str, Any]:
    """Both lists of each query from the file itself, one query after the other, vectors made before: {done_ms, cpu_seconds}."""
    measured: dict[str, Any] = _run(_EMBEDDED, env, queries)[0]
    return measured
