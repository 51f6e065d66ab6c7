"""Reading the CACM test collection, and the two measures."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Collection:
    """`documents`: id -> (title, text). `judged`: query id -> relevant document ids, for queries that have any."""

    documents: Mapping[str, tuple[str, str]]
    queries: Mapping[str, str]
    judged: Mapping[str, Set[str]]
    repaired_judgements: int


def load(folder: Path) -> Collection:
    """55 of the 796 judgements write a number below 1000 without its zeros (`CACM-46` for `CACM-0046`): they are repaired,
    since taking them as they are would count right answers as wrong. Raises ValueError when one still names nothing."""
    documents = {row["id"]: (row["title"], row["text"]) for row in _rows(folder / "documents.jsonl")}
    queries = {row["id"]: row["text"] for row in _rows(folder / "queries.jsonl")}
    judged: dict[str, set[str]] = {}
    repaired = 0
    for line in (folder / "qrels.tsv").read_text().splitlines():
        query, document, relevance = line.split("\t")
        if document not in documents:
            prefix, _, number = document.partition("-")
            document, repaired = f"{prefix}-{int(number):04d}", repaired + 1
        if document not in documents or query not in queries:
            raise ValueError(f"{folder / 'qrels.tsv'} names {line!r}, which is not in the collection")
        if int(relevance) > 0:
            judged.setdefault(query, set()).add(document)
    return Collection(documents, queries, judged, repaired)


def _rows(path: Path) -> list[dict[str, str]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def ndcg(ranking: Sequence[str], relevant: Set[str], depth: int = 10) -> float:
    """Discounted gain of the first `depth`, divided by the best there could be."""
    gain = sum(1 / math.log2(place + 1) for place, one in enumerate(ranking[:depth], start=1) if one in relevant)
    return gain / sum(1 / math.log2(place + 1) for place in range(1, min(depth, len(relevant)) + 1))


def recall(ranking: Sequence[str], relevant: Set[str], depth: int = 100) -> float:
    return len(relevant & set(ranking[:depth])) / len(relevant)
