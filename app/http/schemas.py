"""The schemas of the HTTP API's requests and answers. Unknown fields are refused, so that a
misspelt option is not silently ignored."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Final, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, StringConstraints, TypeAdapter

from app.answering.follow_up import MOST_TURN_CHARACTERS, MOST_TURNS
from app.catalog.keys import COLLECTION_NAME
from app.search.port import Mode
from app.text.controls import one_line


def _plain(value: object) -> object:
    return one_line(value) if isinstance(value, str) else value


Plain = BeforeValidator(_plain)  # a text that pages, logs and terminals show in one line: control characters are removed
NO_NUL: Final = r"^[^\x00]*$"  # PostgreSQL cannot store NUL in a text, and no caller needs it
CollectionName = Annotated[str, StringConstraints(pattern=rf"^{COLLECTION_NAME.pattern}$")]
Text = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1)]
MetadataKey = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_-]{1,64}$")]
MetadataValue = Annotated[str, Plain, StringConstraints(max_length=512, pattern=NO_NUL)]
Metadata = Annotated[dict[MetadataKey, MetadataValue], Field(max_length=32)]
METADATA: Final = TypeAdapter(Metadata)
DEFAULT_COLLECTION = "default"


class Wire(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class DocumentIn(Wire):
    title: Annotated[str, Plain, StringConstraints(strip_whitespace=True, min_length=1, max_length=500, pattern=NO_NUL)]
    text: Text
    source: Annotated[str, Plain, StringConstraints(max_length=2000, pattern=NO_NUL)] | None = None
    collection: CollectionName = DEFAULT_COLLECTION
    metadata: Metadata = Field(default_factory=dict)


class AcceptedOut(Wire):
    id: str
    status: Literal["queued", "processing", "indexed", "failed"]
    known_as: str | None = Field(
        None,
        description="The source, file name or title under which the same content is there already; it was not stored a second time.",
    )


class DeletedOut(Wire):
    deleted: Annotated[int, Field(description="How many documents were deleted; none of them is shown from now on.")]


class PassageOut(Wire):
    ordinal: Annotated[int, Field(description="Its place in the document, from 0.")]
    passage: Annotated[str, Field(description="Its text; the headings above it come first, on lines of their own.")]
    page: Annotated[int | None, Field(description="The page it starts on, where the file has pages.")] = None


class PassagesOut(Wire):
    document_id: str
    title: str
    total: Annotated[int, Field(description="How many passages the document has.")]
    items: list[PassageOut]
    next: Annotated[int | None, Field(description="The `first` of the following page; null at the end.")]


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
    warnings: Annotated[list[str], Field(description="What could not be read of it, in sentences.")] = Field(default_factory=list)
    created_at: datetime
    updated_at: datetime


class DocumentsOut(Wire):
    items: list[DocumentOut]
    next: str | None


class FormatOut(Wire):
    name: str
    media_type: str
    suffixes: Annotated[list[str], Field(description="Without the dot.")]


class FormatsOut(Wire):
    items: list[FormatOut]


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
    """The raw score (BM25, cosine) and the rank (1 is the best) in each list; null where
    the list does not contain the passage."""

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


class TurnIn(Wire):
    role: Literal["user", "assistant"]
    content: Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=MOST_TURN_CHARACTERS)]


class AskIn(Wire):
    question: Text
    history: Annotated[
        list[TurnIn],
        Field(max_length=MOST_TURNS, description="What was said before, oldest first: the question may point back to it."),
    ] = Field(default_factory=list)
    top_k: Annotated[int, Field(ge=1, le=20)] = 6
    stream: Annotated[
        bool | Literal["words"],
        Field(
            description="Send events as they come. `words`: also a language model's words before they are checked (`words`), and which of them "
            "to take back (`retract`), because they come again as `token` or because no passage supports them."
        ),
    ] = False
    filters: FiltersIn = Field(default_factory=FiltersIn)


class CitationOut(Wire):
    n: int
    document_id: str
    title: str
    passage: str
    source: str | None = None


class NearestOut(CitationOut):
    quote: Annotated[str, Field(description="The sentence, row or list item of the passage that is most like the question.")]


class UsageOut(Wire):
    """Tokens of the language model, as its provider counted them; 0 where the answer is quoted without one."""

    input_tokens: int
    output_tokens: int


class AnswerOut(Wire):
    answer: str
    citations: list[CitationOut]
    grounded: Annotated[bool, Field(description="Every sentence of the answer cites a passage.")]
    label: Annotated[str, Field(description="Who wrote the answer.")]
    usage: Annotated[
        UsageOut, Field(description="What writing it took. An answer from the cache says what it took when it was written.")
    ]
    conflicting: Annotated[
        bool, Field(description="Documents contradict each other; each statement is told with its date, the newest first.")
    ] = False
    nearest: Annotated[
        list[NearestOut],
        Field(
            description="Where the documents do not answer (`grounded` false): the passages that come nearest. They may be about something else."
        ),
    ] = []
    degraded: str | None = None


class SessionIn(Wire):
    key: Text


class SessionOut(Wire):
    name: str
    role: Literal["reader", "writer", "admin"]
    collections: list[str] | None
