"""Before a load test: does the service answer, is the key good for it, and does it hold anything to search?"""

from __future__ import annotations

import ssl
from collections.abc import Mapping, Sequence
from pathlib import Path

import httpx

from loadtests.measured import TOP_K
from loadtests.questions import Question

LEAST_FOUND = 0.5  # of the questions: with fewer it is another corpus than the questions are about
SECONDS = 10.0  # for one request of an idle service


class NotReady(Exception):
    """Load would measure nothing. The text says what to do."""


def check(host: str, ca: Path | None, headers: Mapping[str, str], asked: Sequence[Question]) -> str:
    """How many of the questions find their source, in words. Raises NotReady when most find nothing: each would count as a failure."""
    verify = ssl.create_default_context(cafile=str(ca) if ca else None)
    found = right = 0
    try:
        with httpx.Client(base_url=host, verify=verify, timeout=SECONDS, headers=dict(headers), trust_env=False) as http:
            for question in asked:
                answer = http.post("/v1/search", json={"query": question.text, "top_k": TOP_K})
                if answer.status_code != 200:
                    raise NotReady(f"{host} answers a search with {answer.status_code}: {answer.text[:200]}")
                hits = answer.json()["hits"]
                found += bool(hits)
                right += any(question.source and question.source in (hit.get("source") or "") for hit in hits)
    except (httpx.HTTPError, OSError) as error:
        raise NotReady(f"{host} does not answer: {error}") from error
    if found < LEAST_FOUND * len(asked):
        raise NotReady(
            f"{found} of {len(asked)} questions find anything at {host}: ingest documents first (`teal up`, `teal ingest`), or give questions about those that are there (--questions)"
        )
    return f"{len(asked)} questions, {found} with hits, {right} with their source among the first {TOP_K}"
