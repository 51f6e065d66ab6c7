"""Spot check: searches an index for documents by words of their own, to see whether it answers and finds what it contains."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from datetime import datetime
from typing import Final

from app.catalog import ingestion_queries
from app.catalog.engine import Catalog
from app.errors import DocumentRejected
from app.models.embed import open_embedder
from app.models.port import Vector
from app.search.engines import open_reader
from app.search.retrieve import RetrievalRequest, retrieve
from app.settings import Settings
from app.text.apart import READERS

SAMPLES: Final = 50  # documents that are searched for
FOUND_AMONG: Final = 10  # hits, as many as a page shows
FOUND_SHARE: Final = 0.9  # of the samples; words alone find 1.0 of known passages among a hundred (docs/proof.md)
_WORDS: Final = 12  # from the middle of a document: a sentence


def questions(catalog: Catalog, before: datetime | None = None) -> Iterator[tuple[str, str]]:
    """(document id, words from its middle) for a sample, spread over all documents that were
    indexed before a moment (None: at any time)."""
    with catalog.read() as session:
        ids = ingestion_queries.sample_indexed(session, SAMPLES, before)
    for document_id in ids:
        with catalog.read() as session:
            task = ingestion_queries.indexed_task(session, document_id)
        if task is None:
            continue
        try:
            words = READERS.parse(task.body, task.media_type, task.filename).text.split()
        except DocumentRejected:
            continue
        first = max(0, (len(words) - _WORDS) // 2)
        yield document_id, " ".join(words[first : first + _WORDS])


def count_found(settings: Settings, asked: list[tuple[str, str]], *, with_meaning: bool) -> int:
    """How many of these documents are among the first hits for their words. Without
    `with_meaning` the index may be of another model."""
    return asyncio.run(_found(settings, asked, with_meaning=with_meaning))


async def _found(settings: Settings, asked: list[tuple[str, str]], *, with_meaning: bool) -> int:
    embedder, reader = open_embedder(settings) if with_meaning else None, open_reader(settings)
    embed = None if embedder is None else _in_thread(embedder.query)
    seen = 0
    try:
        for document_id, words in asked:
            request = RetrievalRequest(words, FOUND_AMONG, "hybrid" if embed else "lexical")
            answer = await retrieve(reader, embed, request, candidates=settings.candidates)
            seen += any(hit.document_id == document_id for hit in answer.hits)
    finally:
        await reader.close()
    return seen


def _in_thread(query: Callable[[str], Vector]) -> Callable[[str], Awaitable[Vector]]:
    return lambda text: asyncio.to_thread(query, text)
