"""Reciprocal rank fusion, which the service's own fusion is measured against (docs/decisions/0002-fusion.md)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from app.search.fuse import ranks

RRF_K: Final = 60  # the constant of Cormack et al. 2009


def reciprocal_rank(lexical: Mapping[str, float], semantic: Mapping[str, float], k: int = RRF_K) -> dict[str, float]:
    """Sum of 1 / (k + rank) over both lists, divided by what rank 1 in both would give, so it is in [0, 1]."""
    fused: dict[str, float] = {}
    for scores in (lexical, semantic):
        for key, rank in ranks(scores).items():
            fused[key] = fused.get(key, 0.0) + (k + 1) / (2 * (k + rank))
    return fused
