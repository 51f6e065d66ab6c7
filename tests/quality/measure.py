"""Retrieval quality and cost on CACM, through the service's own adapters, embedder and fusion. One JSON line a row.

python -m tests.quality.measure --data ../shared/data/cacm --models FOLDER [--elasticsearch URL] [--candidates 100]
"""

from __future__ import annotations

import argparse
import asyncio
import json
import resource
import statistics
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any
from uuid import uuid4

from app.models.embed import open_embedder, passage_text, stamp
from app.models.port import Vector
from app.models.registry import LOCAL_MODELS
from app.search.engines import open_reader, open_writer
from app.search.fuse import convex, ranks
from app.search.port import Candidates, Passage, SearchQuery
from app.settings import Settings
from tests.quality.cacm import Collection, load, ndcg, recall
from tests.quality.reciprocal_rank import reciprocal_rank

WEIGHTS = tuple(number / 10 for number in range(1, 10))
Ranking = Callable[[Candidates], Sequence[str]]


def cpu_seconds() -> float:
    """User and system time of this process, all of its threads."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def embed(settings: Settings, data: Collection) -> tuple[dict[str, Vector], dict[str, Vector], dict[str, Any]]:
    """Vectors of documents and judged queries, and what they cost."""
    embedder = open_embedder(settings)
    if embedder is None:
        raise SystemExit(
            f"The model {settings.embedding_model} is not in {settings.model_dir}: run `teal up`, or give --models FOLDER."
        )
    embedder.query("warm")
    start = cpu_seconds()
    vectors = embedder.passages([passage_text(title, text) for title, text in data.documents.values()])
    middle = cpu_seconds()
    queries = {key: embedder.query(data.queries[key]) for key in data.judged}
    cost = {
        "passage_cpu_milliseconds": round(1e3 * (middle - start) / len(vectors), 2),
        "query_cpu_milliseconds": round(1e3 * (cpu_seconds() - middle) / len(queries), 2),
    }
    return dict(zip(data.documents, vectors, strict=True)), queries, cost


async def candidate_lists(
    settings: Settings, data: Collection, documents: Mapping[str, Vector], queries: Mapping[str, Vector], limit: int
) -> dict[str, Candidates]:
    """Both lists of every judged query, from a new index."""
    writer = open_writer(settings)
    writer.ensure(stamp(settings))
    passages = [
        Passage(f"{key}:0", key, 0, title, text, "cacm", vector=documents[key]) for key, (title, text) in data.documents.items()
    ]
    for start in range(0, len(passages), 500):
        writer.put(passages[start : start + 500])
    writer.refresh()
    reader = open_reader(settings)
    found = {key: await reader.candidates(SearchQuery(data.queries[key], vector, limit)) for key, vector in queries.items()}
    await reader.close()
    writer.close()
    return found


def _scores(passages: Mapping[str, float]) -> dict[str, float]:
    """By document: each has one passage here."""
    return {passage_id.removesuffix(":0"): score for passage_id, score in passages.items()}


def rankings() -> dict[str, Ranking]:
    """Every way to rank that is compared."""

    def blend(weight: float) -> Ranking:
        return lambda found: list(ranks(convex(_scores(found.lexical), _scores(found.semantic), weight)))

    return {
        "lexical": lambda found: list(_scores(found.lexical)),
        "semantic": lambda found: list(_scores(found.semantic)),
        "rrf": lambda found: list(ranks(reciprocal_rank(_scores(found.lexical), _scores(found.semantic)))),
        **{f"convex {weight:.1f}": blend(weight) for weight in WEIGHTS},
    }


def report(data: Collection, lists: Mapping[str, Candidates]) -> list[dict[str, Any]]:
    """nDCG@10 over all queries and over two halves (every other judged query), and recall@100."""
    keys = sorted(data.judged, key=int)
    rows = []
    for name, rank in rankings().items():
        values = {key: ndcg(rank(lists[key]), data.judged[key]) for key in keys}
        rows.append({
            "ranking": name,
            "ndcg10": round(statistics.fmean(values.values()), 3),
            "ndcg10_half_a": round(statistics.fmean(values[key] for key in keys[0::2]), 3),
            "ndcg10_half_b": round(statistics.fmean(values[key] for key in keys[1::2]), 3),
            "recall100": round(statistics.fmean(recall(rank(lists[key]), data.judged[key]) for key in keys), 3),
        })  # fmt: skip
    return rows


def chosen_weight(rows: Sequence[Mapping[str, Any]], half: str) -> Mapping[str, Any]:
    """The convex row that is best on one half; its figure on the other half is the honest one."""
    return max((row for row in rows if str(row["ranking"]).startswith("convex")), key=lambda row: float(row[half]))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--models", type=Path, default=Path(".teal/models"))
    parser.add_argument("--elasticsearch", default=None, help="address; without it only the embedded adapter is measured")
    parser.add_argument("--candidates", type=int, default=100)
    given = parser.parse_args()
    if not given.data.is_dir():
        print(f"Skipped: the labelled set {given.data} is not there, so nothing was measured.", file=sys.stderr)
        return 0
    data = load(given.data)
    print(
        json.dumps(
            {
                "documents": len(data.documents),
                "judged_queries": len(data.judged),
                "repaired_judgements": data.repaired_judgements,
            }
        )
    )
    for model in LOCAL_MODELS:
        common = {"embedding_model": model, "model_dir": given.models, "index": f"q{uuid4().hex[:12]}"}
        documents, queries, cost = embed(Settings(**common), data)
        print(json.dumps({"model": model, **cost}), flush=True)
        for adapter in ("embedded", *(("elasticsearch",) if given.elasticsearch else ())):
            with tempfile.TemporaryDirectory() as folder:
                extra = (
                    {"elasticsearch_url": given.elasticsearch, "search_timeout_seconds": 10.0}
                    if adapter == "elasticsearch"
                    else {}
                )
                settings = Settings(search=adapter, state_dir=Path(folder), **common, **extra)
                rows = report(data, asyncio.run(candidate_lists(settings, data, documents, queries, given.candidates)))
            for row in rows:
                print(json.dumps({"model": model, "adapter": adapter, "candidates": given.candidates, **row}), flush=True)
            print(
                json.dumps(
                    {
                        "model": model,
                        "adapter": adapter,
                        "chosen_on_half_a": chosen_weight(rows, "ndcg10_half_a"),
                        "chosen_on_half_b": chosen_weight(rows, "ndcg10_half_b"),
                    }
                ),
                flush=True,
            )
            if adapter == "elasticsearch":
                _drop(given.elasticsearch, str(common["index"]))
    return 0


def _drop(url: str, index: str) -> None:
    from elasticsearch import Elasticsearch

    with Elasticsearch(url) as client:
        client.indices.delete(index=f"{index}-000001")
        client.indices.delete_index_template(name=f"{index}-passages")


if __name__ == "__main__":
    raise SystemExit(main())
