"""Checks before a load test that the service answers, that it accepts the key, and that it contains documents to search."""

from __future__ import annotations

import ssl
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import httpx

from loadtests.measured import TOP_K
from loadtests.questions import LoadQuestion

LEAST_FOUND = 0.5  # of the answered questions: with fewer hits the corpus is not the one that the questions are about
SECONDS = 10.0  # for one request of an idle service
TRIES = 3  # of each question, so that a degraded service is measured, not refused
GIVE_UP = 3  # after this many questions without any answer the service counts as down
PAUSE_SECONDS = 0.2
_WRONG_KEY = (401, 403)


class NotReady(Exception):
    """The service is not ready for a load test. The text says what to do."""


def check(host: str, ca: Path | None, headers: Mapping[str, str], asked: Sequence[LoadQuestion]) -> str:
    """A sentence about how many questions find their source. Bad answers are tolerated, because the load test will judge them.

    Raises NotReady when the service answers nothing, refuses the key, or most questions find nothing: each would count as a failure. The same
    for a `ca` that cannot be read.
    """
    try:
        verify = ssl.create_default_context(cafile=str(ca) if ca else None)
    except OSError as error:  # ssl.SSLError is one; neither names the file
        raise NotReady(f"{ca} is no file of certificates that can be read: {error.strerror or error}") from error
    found = right = answered = 0
    said = ""
    silent = 0
    with httpx.Client(base_url=host, verify=verify, timeout=SECONDS, headers=dict(headers), trust_env=False) as http:
        for question in asked:
            hits, why = _hits(http, host, question)
            said = why or said
            if hits is None:
                silent += 1
                if silent >= GIVE_UP and not answered:
                    break
                continue
            answered += 1
            found += bool(hits)
            right += any(question.source and question.source in (hit.get("source") or "") for hit in hits)
    if not answered:
        raise NotReady(f"{host} answers no search: {said}")
    if found < LEAST_FOUND * answered:
        raise NotReady(
            f"{found} of {answered} questions find anything at {host}: ingest documents first (`teal up`, `teal ingest`), or give questions about those that are there (--questions)"
        )
    bad = f"; {len(asked) - answered} were not answered, such as: {said}" if answered < len(asked) else ""
    return f"{len(asked)} questions, {found} with hits, {right} with their source among the first {TOP_K}{bad}"


def _hits(http: httpx.Client, host: str, question: LoadQuestion) -> tuple[list[dict[str, str]] | None, str]:
    """(hits, reason why there are none). Raises NotReady when the key is refused."""
    said = ""
    for number in range(TRIES):
        try:
            answer = http.post("/v1/search", json={"query": question.text, "top_k": TOP_K})
            if answer.status_code == 200:
                return list(answer.json()["hits"]), ""
            said = f"{answer.status_code}: {answer.text[:200]}"
            if answer.status_code in _WRONG_KEY:
                raise NotReady(f"{host} refuses the key: {said}")
        except httpx.ConnectError as error:
            said = f"it does not answer: {error}"
        except (httpx.HTTPError, OSError, ValueError, KeyError) as error:
            said = str(error) or type(error).__name__
        if number + 1 < TRIES:
            time.sleep(PAUSE_SECONDS)
    return None, said
