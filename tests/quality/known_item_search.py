"""Known-item search on the product's own corpus, through the running laptop stack: `python -m tests.quality.known_item_search`.

Each query is 4 to 7 words of one paragraph (tests/quality/known_item.py, fixed seed); right is a passage that holds the paragraph's start.
One JSON line a mode. These are known-item queries, not relevance judgements.
"""

from __future__ import annotations

import json
import math
import os
import statistics
import sys
import tempfile
from pathlib import Path

import httpx

from teal.laptop.demo import corpus
from teal.laptop.layout import locate_layout
from tests.quality import stack
from tests.quality.known_item import KnownItem, make, paragraphs

_QUERIES = 200
_DEPTH = 100
_START_CHARACTERS = 60  # of the paragraph; its end may have gone into the next passage


def queries() -> list[KnownItem]:
    """The queries, from the corpus as `teal up` sends it."""
    with tempfile.TemporaryDirectory() as folder:
        for number, text in enumerate(corpus.load_corpus(locate_layout(os.environ)).texts):
            (Path(folder) / f"{number:04d}.txt").write_text(text.text, encoding="utf-8")
        return make(list(paragraphs(Path(folder))), _QUERIES)


def place(client: httpx.Client, item: KnownItem, mode: str) -> int | None:
    """Where the paragraph's passage stands among the first 100, 1 the best."""
    answer = client.post("/v1/search", json={"query": item.query, "mode": mode, "top_k": _DEPTH})
    answer.raise_for_status()
    start = item.passage[:_START_CHARACTERS]
    for number, hit in enumerate(answer.json()["hits"], start=1):
        if start in " ".join(hit["passage"].split()):
            return number
    return None


def main() -> int:
    items = queries()
    with stack.client() as client:
        for mode in ("lexical", "semantic", "hybrid"):
            places = [place(client, item, mode) for item in items]
            gain = statistics.mean(1 / math.log2(found + 1) if found and found <= 10 else 0.0 for found in places)
            row = {
                "mode": mode,
                "queries": len(places),
                "ndcg10": round(gain, 3),
                "first": round(statistics.mean(found == 1 for found in places), 3),
                "recall100": round(statistics.mean(found is not None for found in places), 3),
            }
            print(json.dumps(row), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
