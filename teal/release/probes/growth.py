"""Open files and memory of a process do not grow with each request."""

from __future__ import annotations

from itertools import pairwise
from typing import Final

from teal.release.probes.visit import Probe, ProbeVisit, WrongBehaviour, answered

SEARCHES: Final = 20  # in one run; there are three runs, so that caches and pools, which fill once, do not look like a leak
# The most growth for each request, in both later runs. One more file for every fifth request ends a process within a day at one
# request a second. A healthy service grew by 3 kB and a fortieth of a file a search while its pools filled (laptop,
# two app processes).
MOST: Final = {"open files": 0.2, "bytes of memory": 200_000.0}


def ask(visit: ProbeVisit) -> None:
    if visit.held is None or not visit.questions:
        return
    seen = []
    for _ in range(3):
        for number in range(SEARCHES):
            question = visit.questions[number % len(visit.questions)]
            answered(visit.writer, "POST", "/v1/search", json={"query": question})
        seen.append(visit.held())
    for name, most in MOST.items():
        held = [one[name] for one in seen if name in one]
        if len(held) < len(seen):  # the platform does not report this value
            continue
        grown = min(later - earlier for earlier, later in pairwise(held)) / SEARCHES
        if grown > most:
            raise WrongBehaviour(f"its processes hold {grown:,.1f} more {name} after each search")


GROWTH: Final = Probe("growth", "open files and memory do not grow with each request", ask, again=False)
