"""Makes passages from a document's bytes; used by ingestion and by everything else that fills an index."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final, Protocol

from app.catalog.ingestion_queries import IngestionTask
from app.models.embed import passage_text
from app.models.port import Embedder
from app.search.port import Passage
from app.settings import Settings
from app.text.apart import Wanted
from app.text.document import ChunkLimits, CutDocument

BATCH_PASSAGES: Final = 32  # about a second of embedding on one core: the most work that is repeated after a worker was killed

PAGE: Final = "page"  # the metadata key for the page on which a passage starts


@dataclass(frozen=True, slots=True)
class IngestSettings:
    """Settings of ingestion: how documents are cut, and how often they are tried."""

    passage_tokens: int
    overlap_tokens: int
    attempts: int
    concurrency: int


class DocumentReader(Protocol):
    """Reads and cuts a file. `wanted` is called now and then meanwhile; when it returns False the work ends."""

    def __call__(
        self, body: bytes, media_type: str, filename: str | None, cutting: ChunkLimits, wanted: Wanted | None = None, /
    ) -> CutDocument: ...


def ingest_settings(settings: Settings) -> IngestSettings:
    """The settings of ingestion, from the service's settings."""
    return IngestSettings(
        settings.passage_tokens, settings.passage_overlap_tokens, settings.ingest_attempts, settings.worker_concurrency
    )


def read_task(
    task: IngestionTask, read: DocumentReader, shape: IngestSettings, wanted: Wanted | None = None
) -> tuple[str, CutDocument]:
    """Title and passages of a document; its metadata are the file's own and the sender's, which take precedence. Raises
    `DocumentRejected` when it cannot be read or has no text."""
    cutting = ChunkLimits(shape.passage_tokens, shape.overlap_tokens)
    document = read(task.body, task.media_type, task.filename, cutting, wanted)
    title = task.title or document.title or task.filename or "Untitled"
    return title, replace(document, metadata={**document.metadata, **task.metadata})


def make_passages(task: IngestionTask, title: str, document: CutDocument, first: int, embedder: Embedder | None) -> list[Passage]:
    """Make the passages of at most BATCH_PASSAGES chunks of a document that `read_task` read, from chunk `first` on. Without a
    model they have no vectors.

    The page on which a chunk starts becomes metadata of its passage, unless the document has its own metadata with that key.
    """
    chunks = document.chunks[first : first + BATCH_PASSAGES]
    texts = [chunk.whole for chunk in chunks]
    vectors = embedder.passages([passage_text(title, text) for text in texts]) if embedder else [None] * len(texts)
    document_id = task.job.document_id
    return [
        Passage(
            id=f"{document_id}:{ordinal}", document_id=document_id, ordinal=ordinal, title=title, text=text,
            collection=task.collection, source=task.source, vector=vector,
            metadata=document.metadata if chunk.page is None else {PAGE: str(chunk.page), **document.metadata},
        )
        for ordinal, (text, chunk, vector) in enumerate(zip(texts, chunks, vectors, strict=True), first)
    ]  # fmt: skip
