"""Enlarges a corpus with copies of its passages, whose words are in another order and whose vectors are slightly moved.

The copies are synthetic: the engine's work grows as with real text (terms as frequent, vectors as clustered),
but the hits mean nothing.
"""

from __future__ import annotations

import json
import math
import random
from collections.abc import Iterator, Sequence
from itertools import islice
from typing import Any, Final

from loadtests.peers.index import ElasticsearchClient

NOISE: Final = 0.02  # standard deviation added to each of 384 numbers of a unit vector: cosine to the original about 0.93
_BULK: Final = 500  # passages a call, about 4 MB
_DIGITS: Final = 6  # decimal digits of a vector's numbers: more than int8 keeps


def copies(passages: Sequence[dict[str, Any]], count: int, seed: int) -> Iterator[dict[str, Any]]:
    """`count` passages, no two alike, as Teal's index stores them, each with its `_id`."""
    chance = random.Random(seed)  # noqa: S311 - not a secret
    for number in range(count):
        original = passages[number % len(passages)]
        words = original["words"].split()
        chance.shuffle(words)
        document_id = f"grown-{seed}-{number}"
        yield {
            **original,
            "_id": f"{document_id}:0",
            "document_id": document_id,
            "ordinal": 0,
            "words": " ".join(words),
            "vector": nearby_vector(original["vector"], chance),
        }


def nearby_vector(vector: Sequence[float], chance: random.Random) -> list[float]:
    """A unit vector near `vector`."""
    noisy = [value + chance.gauss(0, NOISE) for value in vector]
    length = math.sqrt(sum(value * value for value in noisy))
    return [round(value / length, _DIGITS) for value in noisy]


def grow(engine: ElasticsearchClient, index: str, passages: Sequence[dict[str, Any]], count: int, seed: int) -> None:
    """Add `count` copies directly to the index: searches find them, but the catalog does not know them. Raises `RuntimeError`."""
    made = copies(passages, count, seed)
    while part := list(islice(made, _BULK)):
        lines = list[str]()
        for one in part:
            body = {name: value for name, value in one.items() if name != "_id"}
            lines += [json.dumps({"index": {"_id": one["_id"]}}), json.dumps(body)]
        answer = engine.call("POST", f"/{index}/_bulk", ("\n".join(lines) + "\n").encode())
        if answer["errors"]:
            raise RuntimeError(f"Elasticsearch did not take copies into {index}: {json.dumps(answer)[:500]}")
    engine.call("POST", f"/{index}/_refresh")
