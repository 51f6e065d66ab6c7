"""What a process holds does not grow with each request: open files, memory."""

from __future__ import annotations

from itertools import pairwise
from typing import Final

from teal.release.probes.visit import Probe, ProbeVisit, WrongBehaviour, answered

SEARCHES: Final = 20  # of one run; three runs, so that what is filled once (caches, pools) is not taken for a leak
# By each request, and in both of the later runs. A file for every fifth request ends a process after a day of one request a second; a
# service that does well was seen to keep 3 kB and a fortieth of a file a search while its pools fill (laptop, two app processes).
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
        if len(held) < len(seen):  # a platform that does not say it
            continue
        grown = min(later - earlier for earlier, later in pairwise(held)) / SEARCHES
        if grown > most:
            raise WrongBehaviour(f"its processes hold {grown:,.1f} more {name} after each search")


GROWTH: Final = Probe("growth", "open files and memory do not grow with each request", ask, again=False)
