"""How Elasticsearch should keep vectors: the ways that need no licence beside each other, on a real node that this starts.

python -m tests.quality.vectors --data ../shared/data/cacm [--models .teal/models] [--vectors 100000] [--rounds 2]

For each way: bytes on disk, bytes of the files that a search walks through (what the page cache should hold), and for each number
of neighbours compared exactly: recall@100 beside an exact search, CPU of the engine, latency, and nDCG@10 on CACM. The synthetic
vectors are mixtures of CACM's own, with noise, so that neighbours mean something.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import statistics
import sys
import tempfile
import time
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, Final
from uuid import uuid4

import numpy as np
from elasticsearch import Elasticsearch
from elasticsearch.helpers import parallel_bulk
from numpy.typing import NDArray

from app.models.embed import stamp
from app.search.elasticsearch.connection import FastJson, FastLines
from app.search.elasticsearch.mappings import OVERSAMPLING, index_mappings
from app.search.fuse import convex, ranks
from app.settings import Settings
from loadtests.bench import elasticsearch_node
from tests.quality.cacm import Collection, load, ndcg
from tests.quality.measure import candidate_lists, embed

Vectors = NDArray[np.float32]
WAYS: Final = ("int8", "bbq")
COMPARED: Final = {"int8": (1.0,), "bbq": (1.0, 2.0, 3.0)}  # neighbours compared exactly, as a multiple of those wanted
NEIGHBOURS: Final = 100  # wanted, as the service does
MIXED_QUERIES: Final = 150  # beside CACM's judged ones; made like the synthetic vectors, and not among them
NOISE: Final = 0.02  # of each dimension: a cosine of about 0.93 to the vector without it
SEED: Final = 19
WALKED: Final = {"int8": ("veq", "vex"), "bbq": ("veb", "vex")}  # quantised vectors and graph, by Lucene's file names
BULK: Final = 500
CALL_SECONDS: Final = 120
MERGE_SECONDS: Final = 600
DECIMALS: Final = 5  # of a vector's numbers as text; more says nothing to a float of this size


@dataclass(frozen=True, slots=True)
class Question:
    """A search to be measured: the index, the way that it keeps vectors, and how many neighbours are compared exactly."""

    index: str
    way: str
    compared: float


def mixtures(real: Vectors, count: int, rng: np.random.Generator) -> Vectors:
    """Vectors of length one between two real ones each, with noise."""
    first, second = real[rng.integers(len(real), size=count)], real[rng.integers(len(real), size=count)]
    share = rng.uniform(0.5, 1.0, (count, 1))
    mixed = share * first + (1 - share) * second + rng.normal(0.0, NOISE, first.shape)
    found: Vectors = (mixed / np.linalg.norm(mixed, axis=1, keepdims=True)).astype(np.float32)
    return found


def exact(vectors: Vectors, query: Vectors) -> frozenset[str]:
    """The ids of the nearest, by comparing with every vector."""
    return frozenset(str(at) for at in np.argpartition(-(vectors @ query), NEIGHBOURS)[:NEIGHBOURS])


def build(client: Elasticsearch, index: str, way: str, settings: Settings, vectors: Mapping[str, Vectors]) -> float:
    """Make an index of these vectors alone, in one segment; returns the seconds that it took."""
    began = time.monotonic()
    mappings = index_mappings(stamp(settings), way)
    client.indices.create(
        index=index,
        settings={"number_of_replicas": 0, "refresh_interval": -1, "index.compound_format": False},
        # The vector as text in _source is the same for every way, and is left out here.
        mappings=mappings | {"_source": {"enabled": False}, "dynamic": "strict"},
    )
    actions = (
        {"_index": index, "_id": key, "vector": np.round(vector.astype(np.float64), DECIMALS).tolist()}
        for key, vector in vectors.items()
    )
    for part in (islice(actions, BULK), actions):  # so that there is something to merge: a lone segment hides its files in one
        deque(parallel_bulk(client, part, thread_count=os.cpu_count() or 1, chunk_size=BULK), maxlen=0)
        client.indices.refresh(index=index)
    client.options(request_timeout=MERGE_SECONDS).indices.forcemerge(index=index, max_num_segments=1)
    client.indices.refresh(index=index)
    return time.monotonic() - began


def file_bytes(client: Elasticsearch, index: str) -> dict[str, int]:
    """Bytes of the index's files of vectors, by the ending of their names."""
    stats = client.indices.stats(index=index, metric="segments", include_segment_file_sizes=True)
    files = stats["_all"]["primaries"]["segments"]["file_sizes"]
    return {ending: int(one["size_in_bytes"]) for ending, one in files.items() if ending.startswith("ve")}


def nearest(client: Elasticsearch, asked: Question, query: Vectors) -> dict[str, float]:
    """Id to cosine, as the service would ask."""
    answer = client.search(
        index=asked.index,
        size=NEIGHBOURS,
        source=False,
        track_total_hits=False,
        knn={
            "field": "vector",
            "query_vector": query.tolist(),
            "k": NEIGHBOURS,
            "num_candidates": OVERSAMPLING * NEIGHBOURS,
            "rescore_vector": {"oversample": asked.compared},
        },
    )
    return {hit["_id"]: 2 * hit["_score"] - 1 for hit in answer["hits"]["hits"]}


def engine_cpu_ms(client: Elasticsearch) -> int:
    """CPU of the node so far."""
    (node,) = client.nodes.stats(metric="process")["nodes"].values()
    return int(node["process"]["cpu"]["total_in_millis"])


def search_all(
    client: Elasticsearch, asked: Question, queries: Sequence[Vectors]
) -> tuple[list[dict[str, float]], list[float], float]:
    """What each query found, the milliseconds that each took, and the engine's CPU for one in ms."""
    found, taken, before = [], list[float](), engine_cpu_ms(client)
    for query in queries:
        began = time.perf_counter()
        found.append(nearest(client, asked, query))
        taken.append((time.perf_counter() - began) * 1000)
    return found, taken, (engine_cpu_ms(client) - before) / len(queries)


def measure(
    client: Elasticsearch, questions: Sequence[Question], vectors: Vectors, queries: Sequence[Vectors], rounds: int
) -> list[dict[str, Any]]:
    """One row a question. The rounds are interleaved, so that the machine's noise affects all."""
    wanted = [exact(vectors, query) for query in queries]
    recalls: dict[Question, float] = {}
    times: dict[Question, list[list[float]]] = {asked: [] for asked in questions}
    cpu: dict[Question, list[float]] = {asked: [] for asked in questions}
    for number in range(rounds + 1):
        for asked in questions[:: 1 if number % 2 else -1]:
            found, taken, used = search_all(client, asked, queries)
            if number == 0:  # warms Java and the page cache
                shares = (len(want & got.keys()) / NEIGHBOURS for want, got in zip(wanted, found, strict=True))
                recalls[asked] = statistics.fmean(shares)
                continue
            times[asked].append(taken)
            cpu[asked].append(used)
    return [
        {
            "way": asked.way,
            "compared": asked.compared,
            "recall100": round(recalls[asked], 4),
            "engine_cpu_ms": [round(one, 2) for one in cpu[asked]],
            "p50_ms": [round(statistics.median(one), 2) for one in times[asked]],
            "p90_ms": [round(statistics.quantiles(one, n=10)[-1], 2) for one in times[asked]],
        }
        for asked in questions
    ]


def quality(
    data: Collection,
    client: Elasticsearch,
    questions: Sequence[Question],
    words: Mapping[str, Mapping[str, float]],
    queries: Mapping[str, Vectors],
) -> list[dict[str, Any]]:
    """nDCG@10 on CACM with the service's fusion, the words' list being the same for all."""
    rows = []
    for asked in questions:
        lists = {key: nearest(client, asked, vector) for key, vector in queries.items()}
        hybrid = [ndcg(list(ranks(convex(words[key], found))), data.judged[key]) for key, found in lists.items()]
        meaning = [ndcg(list(ranks(found)), data.judged[key]) for key, found in lists.items()]
        row = {"cacm_way": asked.way, "compared": asked.compared, "hybrid_ndcg10": round(statistics.fmean(hybrid), 4)}
        rows.append(row | {"meaning_ndcg10": round(statistics.fmean(meaning), 4)})
    return rows


def default_way(client: Elasticsearch, dimensions: int) -> str:
    """The way that this Elasticsearch takes by itself for vectors of so many dimensions."""
    client.indices.create(index="chosen", mappings={"properties": {"v": {"type": "dense_vector", "dims": dimensions}}})
    answer = client.indices.get_mapping(index="chosen")
    return str(answer["chosen"]["mappings"]["properties"]["v"]["index_options"]["type"])


def run(client: Elasticsearch, url: str, given: argparse.Namespace) -> Iterator[dict[str, Any]]:
    data = load(given.data)
    settings = Settings(
        search="elasticsearch",
        elasticsearch_url=url,
        search_timeout_seconds=10.0,
        model_dir=given.models,
        index=f"q{uuid4().hex[:12]}",
    )
    documents, judged, _ = embed(settings, data)
    real = np.stack(list(documents.values()))
    yield {"default_way": default_way(client, real.shape[1]), "dimensions": real.shape[1], "documents": len(documents)}
    words = {
        key: {passage_id.removesuffix(":0"): score for passage_id, score in found.lexical.items()}
        for key, found in asyncio.run(candidate_lists(settings, data, documents, judged, NEIGHBOURS)).items()
    }
    for way in WAYS:
        build(client, f"cacm-{way}", way, settings, documents)
    yield from quality(data, client, [Question(f"cacm-{way}", way, one) for way in WAYS for one in COMPARED[way]], words, judged)
    rng = np.random.default_rng(SEED)
    vectors, more = mixtures(real, given.vectors, rng), mixtures(real, MIXED_QUERIES, rng)
    for way in WAYS:
        seconds = build(client, f"many-{way}", way, settings, {str(at): one for at, one in enumerate(vectors)})
        files = file_bytes(client, f"many-{way}")
        walked = sum(files.get(ending, 0) for ending in WALKED[way])
        row = {"way": way, "vectors": len(vectors), "build_seconds": round(seconds)}
        yield row | {"disk_bytes": sum(files.values()), "walked_bytes": walked, "files": files}
    questions = [Question(f"many-{way}", way, one) for way in WAYS for one in COMPARED[way]]
    yield {"load_average": round(os.getloadavg()[0], 1)}
    yield from measure(client, questions, vectors, [*judged.values(), *more], given.rounds)
    yield {"load_average": round(os.getloadavg()[0], 1)}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--models", type=Path, default=Path(".teal/models"))
    parser.add_argument("--vectors", type=int, default=100_000)
    parser.add_argument("--rounds", type=int, default=2)
    given = parser.parse_args()
    if not given.data.is_dir():
        print(f"Skipped: the labelled set {given.data} is not there, so nothing was measured.", file=sys.stderr)
        return 0
    began = time.monotonic()
    with (
        tempfile.TemporaryDirectory() as folder,
        elasticsearch_node.start(elasticsearch_node.archive(), Path(folder)) as url,
        Elasticsearch(
            url, request_timeout=CALL_SECONDS, serializers={one.mimetype: one for one in (FastJson(), FastLines())}
        ) as client,
    ):
        for row in run(client, url, given):
            print(json.dumps(row), flush=True)
            print(f"[{time.monotonic() - began:4.0f} s]", file=sys.stderr, flush=True)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
