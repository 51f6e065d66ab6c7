"""From a document's bytes to its passages: what ingestion and whoever fills another index do alike."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from app.catalog.work import Task
from app.models.embed import passage_text
from app.models.port import Embedder
from app.rag.chunk import chunk
from app.rag.parse import Parsed
from app.search.port import Passage

BATCH_PASSAGES: Final = 32  # about a second of embedding on one core: the longest work a killed worker repeats

Parse = Callable[[bytes, str, str | None], Parsed]


@dataclass(frozen=True, slots=True)
class Shape:
    """How documents are cut and how often they are tried."""

    passage_tokens: int
    overlap_tokens: int
    attempts: int
    concurrency: int


def read(task: Task, parse: Parse, shape: Shape) -> tuple[str, list[str]]:
    """Title and texts of a document. Raises `DocumentRejected` when there is nothing to read in it."""
    parsed = parse(task.body, task.media_type, task.filename)
    title = task.title or parsed.title or task.filename or "Untitled"
    return title, chunk(parsed.text, target_tokens=shape.passage_tokens, overlap_tokens=shape.overlap_tokens)


def passages(task: Task, title: str, texts: Sequence[str], first: int, embedder: Embedder | None) -> list[Passage]:
    """Passages of some consecutive texts, the first of which is the document's `first`; without a model they have no vectors."""
    vectors = embedder.passages([passage_text(title, text) for text in texts]) if embedder else [None] * len(texts)
    document_id = task.job.document_id
    return [
        Passage(
            id=f"{document_id}:{ordinal}", document_id=document_id, ordinal=ordinal, title=title, text=text,
            collection=task.collection, source=task.source, metadata=task.metadata, vector=vector,
        )
        for ordinal, (text, vector) in enumerate(zip(texts, vectors, strict=True), first)
    ]  # fmt: skip
