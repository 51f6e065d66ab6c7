"""Fusion: makes one ranking of the lexical and the semantic one. Scores are `{passage id: score}`; a
passage missing from a list scores 0."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

SEMANTIC_WEIGHT: Final = 0.3  # chosen on one half of CACM's queries and confirmed on the other: docs/decisions/0002-fusion.md


def min_max(scores: Mapping[str, float], floor: float | None = None) -> dict[str, float]:
    """Scale scores to [0, 1]. `floor`: the lowest possible score, if it is known; by default the lowest in the list."""
    if not scores:
        return {}
    low = min(scores.values()) if floor is None else min(floor, *scores.values())
    span = max(scores.values()) - low
    if span == 0:
        return dict.fromkeys(scores, 1.0)
    return {key: (score - low) / span for key, score in scores.items()}


def convex(lexical: Mapping[str, float], semantic: Mapping[str, float], weight: float = SEMANTIC_WEIGHT) -> dict[str, float]:
    """The convex combination `weight` x semantic + (1 - weight) x lexical, both scaled to [0, 1]; so the result is in [0, 1].

    BM25 is never below 0, so its floor is known. The lowest useful cosine is unknown, so the list's own lowest is used.
    """
    fused = {key: (1 - weight) * score for key, score in min_max(lexical, floor=0.0).items()}
    for key, score in min_max(semantic).items():
        fused[key] = fused.get(key, 0.0) + weight * score
    return fused


def ranks(scores: Mapping[str, float]) -> dict[str, int]:
    """The rank of each passage, 1 for the best. Equal scores are ordered by id, so that equal requests give equal answers."""
    return {key: place for place, key in enumerate(sorted(scores, key=lambda key: (-scores[key], key)), start=1)}
