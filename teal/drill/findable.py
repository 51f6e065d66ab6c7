"""Searches for documents, to find out whether a fault lost any."""

from __future__ import annotations

import ssl
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import httpx

from teal.drill.users import QUESTIONS, REQUEST_SECONDS


def documents_not_found(url: str, key: str, ca: Path | None, accepted: dict[str, str], *, seconds: float) -> dict[str, str]:
    """Accepted documents that a search for their own word does not find within `seconds`: id -> word. Polls."""
    left, deadline = dict(accepted), time.monotonic() + seconds
    with _client(url, key, ca) as http:
        while left:
            for document, word in list(left.items()):
                if document in _found(http, word):
                    del left[document]
            if time.monotonic() >= deadline:
                break
            time.sleep(0.5 if left else 0.0)
    return left


def times_found(url: str, key: str, ca: Path | None, words: Iterable[str]) -> dict[str, int]:
    """How many passages a search for each word finds that contain it: 1 when the document of this word is there once."""
    with _client(url, key, ca) as http:
        return {word: sum(word in str(hit["passage"]) for hit in _hits(http, word)) for word in words}


def every_question_finds_something(url: str, key: str, ca: Path | None) -> bool:
    """Whether every question finds something.
    Checked before the fault, so that a question without hits afterwards shows a loss."""
    with _client(url, key, ca) as http:
        return all(_found(http, question) for question in QUESTIONS)


def _client(url: str, key: str, ca: Path | None) -> httpx.Client:
    verify = ssl.create_default_context(cafile=str(ca) if ca else None)
    headers = {"Authorization": f"Bearer {key}"}
    return httpx.Client(base_url=url, verify=verify, timeout=REQUEST_SECONDS, headers=headers, trust_env=False)


def _found(http: httpx.Client, words: str) -> set[str]:
    """Ids of the documents that a search by words finds; also empty when there is no answer."""
    return {str(hit["document_id"]) for hit in _hits(http, words)}


def _hits(http: httpx.Client, words: str) -> list[dict[str, Any]]:
    """What a search by words finds; also empty when there is no answer."""
    try:
        answer = http.post("/v1/search", json={"query": words, "mode": "lexical"})
    except httpx.HTTPError:
        return []
    return list(answer.json()["hits"]) if answer.status_code == 200 else []
