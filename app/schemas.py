"""The wire forms of the HTTP API. Unknown fields are refused, so a misspelt option is never silently ignored."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from app.catalog.keys import COLLECTION_NAME
from app.search.port import Mode

NO_NUL: Final = r"^[^\x00]*$"  # PostgreSQL's text cannot hold it, and nobody means it
CollectionName = Annotated[str, StringConstraints(pattern=rf"^{COLLECTION_NAME.pattern}$")]
Text = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1)]
MetadataKey = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_-]{1,64}$")]
MetadataValue = Annotated[str, StringConstraints(max_length=512, pattern=NO_NUL)]
DEFAULT_COLLECTION = "default"


class Wire(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class DocumentIn(Wire):
    title: Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=500, pattern=NO_NUL)]
    text: Text
    source: Annotated[str, StringConstraints(max_length=2000, pattern=NO_NUL)] | None = None
    collection: CollectionName = DEFAULT_COLLECTION
    metadata: Annotated[dict[MetadataKey, MetadataValue], Field(max_length=32)] = Field(default_factory=dict)


class AcceptedOut(Wire):
    id: str
    status: Literal["queued", "processing", "indexed", "failed"]


class DocumentError(Wire):
    code: str
    detail: str
    action: str


class DocumentOut(Wire):
    id: str
    title: str
    source: str | None
    collection: str
    metadata: dict[str, str]
    media_type: str
    bytes: int
    status: Literal["queued", "processing", "indexed", "failed"]
    progress: Annotated[float, Field(ge=0, le=1, description="Share of passages that are indexed.")]
    passages: int
    error: DocumentError | None = None
    created_at: datetime
    updated_at: datetime


class DocumentsOut(Wire):
    items: list[DocumentOut]
    next: str | None


class CollectionOut(Wire):
    name: str
    documents: int


class CollectionsOut(Wire):
    items: list[CollectionOut]


class FiltersIn(Wire):
    collections: Annotated[list[CollectionName], Field(min_length=1, max_length=32)] | None = None
    document_ids: (
        Annotated[list[Annotated[str, StringConstraints(max_length=64)]], Field(min_length=1, max_length=100)] | None
    ) = None
    sources: Annotated[list[Annotated[str, StringConstraints(max_length=2000)]], Field(min_length=1, max_length=100)] | None = (
        None
    )
    metadata: Annotated[dict[MetadataKey, MetadataValue], Field(max_length=8)] = Field(default_factory=dict)


class SearchIn(Wire):
    query: Text
    top_k: Annotated[int, Field(ge=1, le=1000)] = 10
    mode: Mode = "hybrid"
    filters: FiltersIn = Field(default_factory=FiltersIn)
    explain: bool = False
    highlight: bool = False


class ExplainOut(Wire):
    """Raw scores (BM25, cosine) and places in each list, 1 the best; null where the list does not hold the passage."""

    lexical_score: float | None
    lexical_rank: int | None
    semantic_score: float | None
    semantic_rank: int | None


class HitOut(Wire):
    document_id: str
    title: str
    passage: str
    score: float
    source: str | None = None
    collection: str | None = None
    ordinal: int | None = None
    metadata: dict[str, str] | None = None
    highlight: str | None = None
    explain: ExplainOut | None = None


class SearchOut(Wire):
    hits: list[HitOut]
    mode: Mode
    degraded: str | None = Field(None, description="Why the search was weaker than asked for; null when it was not.")


class AskIn(Wire):
    question: Text
    top_k: Annotated[int, Field(ge=1, le=20)] = 6
    stream: bool = False
    filters: FiltersIn = Field(default_factory=FiltersIn)


class CitationOut(Wire):
    n: int
    document_id: str
    title: str
    passage: str
    source: str | None = None


class AnswerOut(Wire):
    answer: str
    citations: list[CitationOut]
    grounded: Annotated[bool, Field(description="Every sentence of the answer cites a passage.")]
    label: Annotated[str, Field(description="Who wrote the answer.")]
    degraded: str | None = None


class SessionIn(Wire):
    key: Text


class SessionOut(Wire):
    name: str
    role: Literal["reader", "writer", "admin"]
    collections: list[str] | None
