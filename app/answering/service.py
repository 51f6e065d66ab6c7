"""Search and answering with the service's engine, models and caches: everything between a validated request and its answer.

This module does not depend on HTTP. An answer is a sequence of events, as plain data, and the last event is the whole answer. The
cache stores all events, so that a cached answer can be streamed like a new one.
"""

from __future__ import annotations

import json
import time
from collections.abc import AsyncIterator, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Final

import numpy as np
from anyio import CapacityLimiter, to_thread

from app.answering import dates
from app.answering.answer import Cited, Done, PromptedWriter, Retract, Token, Words, Writer, answer
from app.answering.cache import Cache, NotCacheable, Tier
from app.answering.catalog_view import CatalogView
from app.answering.extract import MeaningModel
from app.answering.extractive_writer import ExtractiveWriter
from app.answering.follow_up import ConversationTurn, with_model, with_terms
from app.answering.nearest import nearest
from app.answering.prompt import PromptSource
from app.answering.question import Question
from app.answering.relevance import RelevanceModel
from app.errors import ModelUnavailable, PassageRefused
from app.models.port import CrossEncoder, Embedder, Generator, Vector
from app.observability import timing, token_usage
from app.observability.metrics import (
    ANSWERS,
    CACHE,
    CLAIMS,
    DEGRADED,
    DROPPED_CLAIMS,
    EMPTY,
    RETRIEVAL_SECONDS,
    RETRIEVALS,
    RETRIEVED,
)
from app.observability.tracing import ModelCall, span
from app.search.port import Filters, SearchReader
from app.search.retrieve import NO_VECTORS, UNREAD, Hit, Retrieval, RetrievalRequest, retrieve
from app.settings import Settings

_EMBED_THREADS: Final = 2  # more threads only compete for the cores


_LEAD_CHARACTERS: Final = 400  # enough for a letterhead, a title page or a first sentence, which say what a document is about


@dataclass(frozen=True, slots=True)
class AnswerEvent:
    """One event of an answer: `retrieval`, then `token` and `citation` as they come, then `done` with the whole answer.
    Between them, while a language model writes: `words` before they are checked, and `retract`, which takes them back."""

    name: str
    data: dict[str, Any]

    @property
    def provisional(self) -> bool:
        """Whether nothing of it remains when the answer is done."""
        return self.name in ("words", "retract")


@dataclass(frozen=True, slots=True)
class AskRequest:
    """A question with the conversation before it, to be answered from `top_k` passages."""

    question: str
    top_k: int
    filters: Filters
    history: tuple[ConversationTurn, ...] = ()


@dataclass
class _Recording:
    """The events of one answer, recorded for the cache. `fleeting`: a later answer may be better, so this one is not cached."""

    events: list[AnswerEvent] = field(default_factory=list)
    fleeting: bool = False

    def pack(self) -> bytes:
        """The cached form: the first line is the whole answer, the second all events."""
        written = json.dumps(self.events[-1].data).encode() + b"\n" + json.dumps([(e.name, e.data) for e in self.events]).encode()
        return NotCacheable(written) if self.fleeting else written


def _whole_answer(packed: bytes) -> bytes:
    return packed.split(b"\n", 1)[0]


def _events(packed: bytes) -> list[AnswerEvent]:
    return [AnswerEvent(name, data) for name, data in json.loads(packed.split(b"\n", 1)[1])]


class AnswerService:
    """Searches and answers. `embedder` may be set later, when a missing model was fetched. A route must call `view.current()`
    before anything else, because cached and found results are valid as of that view."""

    def __init__(
        self,
        settings: Settings,
        reader: SearchReader,
        cache: Cache,
        embedder: Embedder | None,
        generator: Generator | None,
        view: CatalogView,
        cross_encoder: CrossEncoder | None = None,
    ) -> None:
        self.embedder = embedder
        self.view = view
        self._settings = settings
        self._reader = reader
        self._cache = cache
        self._generator = generator
        self._cross_encoder = cross_encoder
        self._embed_slots = CapacityLimiter(_EMBED_THREADS)

    def writer(self, relevance: RelevanceModel | None = None) -> Writer:
        """The writer of answers. `relevance`: the cross-encoder for questions whose words find no answer."""
        if self._generator is not None:
            return PromptedWriter(self._generator, deadline_seconds=self._settings.generation_timeout_seconds)
        return ExtractiveWriter(self._meaning(), relevance)

    def _meaning(self) -> MeaningModel | None:
        """The embedder for extractive answers; None with a language model, where words suffice to find the nearest sentences."""
        if self._generator is not None or self.embedder is None:
            return None
        return _Meaning(self.embedder, self._embed_slots)

    def _relevance(self) -> _Relevance | None:
        """The cross-encoder for one answer; it remembers its scores for that answer. It
        reads the scripts that the embedder reads."""
        if self._cross_encoder is None or self._generator is not None or self.embedder is None:
            return None
        return _Relevance(self._cross_encoder, self.embedder, self._embed_slots)

    def scope(self, *parts: str) -> tuple[str, ...]:
        """The parts of a cache key with which a cached answer is valid: release, index, generation and model, then `parts`."""
        settings = self._settings
        model = self.embedder.stamp.digest if self.embedder else "words"
        model += self._cross_encoder.digest if self._cross_encoder else ""
        return (settings.release_id, settings.search, settings.index, str(self.view.generation), model, *parts)

    async def retrieve(self, asked: RetrievalRequest) -> Retrieval:
        """Retrieve the best passages, and record metrics of the result."""
        began = time.perf_counter()
        with span("retrieve", {"teal.mode": asked.mode, "teal.top_k": asked.top_k}) as recorded:
            found = await retrieve(
                self._reader,
                self.embed_query if self.embedder else None,
                asked,
                candidates=self._settings.candidates,
                reads=self.embedder.reads if self.embedder else None,
                deleted=self.view.deleted,
            )
            recorded.set_attribute("teal.found", len(found.hits))
        RETRIEVAL_SECONDS.observe(time.perf_counter() - began)
        RETRIEVALS.inc()
        RETRIEVED.inc(len(found.hits))
        if not found.hits:
            EMPTY.labels(asked.mode).inc()
        # With embedding switched off, a search by words alone is not degraded.
        if found.degraded not in (None, UNREAD) and self._settings.embedding != "none":
            DEGRADED.inc()
        return found

    def is_fleeting(self, found: Retrieval) -> bool:
        """Whether a later result may be better, because the embedding provider failed just now. Lasting limits, by the index or
        the settings, are part of the cache key instead."""
        return found.degraded not in (None, NO_VECTORS, UNREAD) and self.embedder is not None

    def at_hand(self, asked: AskRequest) -> bytes | None:
        """The whole answer as JSON if it is in this process's own cache; never waits."""
        known = self._cache.local("answer", self._key(asked))
        return None if known is None else _whole_answer(known)

    async def answer(self, asked: AskRequest) -> tuple[bytes, Tier]:
        """The whole answer as JSON, from a cache if possible."""

        async def compute() -> bytes:
            recording = _Recording()
            written: float | None = None
            async for event in self._new_events(asked, recording):
                if event.name == "retrieval":
                    written = time.perf_counter()
            if written is not None:
                timing.add_timing("model", time.perf_counter() - written)
            return recording.pack()

        packed, tier = await self._cache.get_or_compute("answer", self._key(asked), compute)
        return _whole_answer(packed), tier

    async def events(self, asked: AskRequest, *, words: bool = False) -> AsyncIterator[AnswerEvent]:
        """The answer's events as soon as they are final, or all at once from the cache; with `words` also the provisional ones.
        Raises the errors of retrieval and of the writer."""
        key = self._key(asked)
        packed = await self._cache.get(key)
        CACHE.labels("answer", "miss" if packed is None else "hit").inc()
        if packed is not None:
            for event in _events(packed):
                yield event
            return
        recording = _Recording()
        async for event in self._new_events(asked, recording):
            if words or not event.provisional:
                yield event
        if not recording.fleeting:
            self._cache.put(key, recording.pack())

    def _key(self, asked: AskRequest) -> str:
        said = (part for turn in asked.history for part in (turn.role, turn.content))
        return self._cache.key(
            "answer", *self.scope(repr(asked.filters), asked.question, str(asked.top_k), self.writer().label, *said)
        )

    async def _whole_question(self, asked: AskRequest) -> Question:
        if self._generator is not None:
            seconds = self._settings.generation_timeout_seconds
            return await with_model(self._generator, asked.question, asked.history, deadline_seconds=seconds)
        return with_terms(asked.question, asked.history)

    async def _new_events(self, asked: AskRequest, recording: _Recording) -> AsyncIterator[AnswerEvent]:
        """Retrieve, then write; every event is also kept in `recording`."""
        usage = token_usage.begin_counting()
        question = await self._whole_question(asked)
        found = await self.retrieve(RetrievalRequest(query=question.search, top_k=asked.top_k, filters=asked.filters))
        relevance = self._relevance()
        recording.fleeting = self.is_fleeting(found)
        async for event in self._written(question, found, usage, relevance):
            if not event.provisional:
                recording.events.append(event)
            recording.fleeting = recording.fleeting or (relevance is not None and relevance.failed)
            yield event

    async def _written(
        self, question: Question, found: Retrieval, usage: token_usage.TokenUsage, relevance: _Relevance | None
    ) -> AsyncIterator[AnswerEvent]:
        yield AnswerEvent("retrieval", _retrieval(found))
        leads = await self._leads(found)
        sources = [_source(n, hit, leads.get(hit.document_id, "")) for n, hit in enumerate(found.hits, start=1)]
        writer = self.writer(relevance)
        async for event in answer(question, sources, found.best_cosine, writer):
            match event:
                case Token(text):
                    yield AnswerEvent("token", {"text": text})
                case Words(text):
                    yield AnswerEvent("words", {"text": text})
                case Retract(start, end):
                    yield AnswerEvent("retract", {"from": start, "to": end})
                case Cited(n):
                    yield AnswerEvent("citation", _citation(found, n))
                case Done():
                    ANSWERS.labels(type(writer).__name__, str(event.grounded).lower()).inc()
                    CLAIMS.inc(event.written)
                    DROPPED_CLAIMS.inc(event.dropped)
                    whole = {
                        "answer": event.answer,
                        "citations": [_citation(found, n) for n in event.cited],
                        "grounded": event.grounded,
                        "label": writer.label,
                        "usage": asdict(usage),
                    } | ({"conflicting": True} if event.conflicting else {})
                    if not event.grounded:
                        near = await nearest(question, sources, self._meaning(), relevance)
                        whole["nearest"] = [_citation(found, one.n) | {"quote": one.quote} for one in near]
                    yield AnswerEvent("done", whole | ({"degraded": found.degraded} if found.degraded else {}))

    async def _leads(self, found: Retrieval) -> dict[str, str]:
        """The first words of each found document."""
        first = await self._reader.passages([f"{document}:0" for document in {hit.document_id for hit in found.hits}])
        return {one.document_id: one.text[:_LEAD_CHARACTERS] for one in first.values()}

    async def embed_query(self, text: str) -> Vector:
        """The query's vector, from the cache when any release of the same model has made it."""
        embedder = self._need_embedder()
        key = self._cache.key("embedding", embedder.stamp.digest, text)

        async def compute() -> bytes:
            asked = time.perf_counter()

            def embed() -> Vector:
                timing.add_timing("queue", time.perf_counter() - asked)  # in a thread with this request's context
                with timing.time_part("embed"):
                    return embedder.query(text)

            with ModelCall("embeddings", self._settings.embedding, embedder.stamp.model):
                return (await to_thread.run_sync(embed, limiter=self._embed_slots)).tobytes()

        value, _ = await self._cache.get_or_compute("embedding", key, compute)
        return np.frombuffer(value, dtype=np.float32)

    def _need_embedder(self) -> Embedder:
        if self.embedder is None:
            raise ModelUnavailable("No embedding model is loaded; `teal doctor` says how to get it.")
        return self.embedder


class _Meaning:
    """The embedder in the form that writers use."""

    def __init__(self, embedder: Embedder, slots: CapacityLimiter) -> None:
        self._embedder = embedder
        self._slots = slots

    def reads(self, text: str) -> bool:
        return self._embedder.reads(text)

    async def vectors(self, texts: Sequence[str]) -> list[Vector]:
        """Raises `ModelUnavailable`, also when the model takes one of the texts never: the question may be among them."""
        try:
            return await to_thread.run_sync(self._embedder.passages, texts, limiter=self._slots)
        except PassageRefused as error:
            raise ModelUnavailable(error.detail) from error


class _Relevance:
    """The cross-encoder in the form that writers use. `failed`: it was called and could not be
    used, so a later answer may be better."""

    def __init__(self, encoder: CrossEncoder, embedder: Embedder, slots: CapacityLimiter) -> None:
        self._encoder = encoder
        self._embedder = embedder
        self._slots = slots
        self._known = dict[tuple[str, str], float]()
        self.failed = False

    def reads(self, text: str) -> bool:
        return self._embedder.reads(text)

    async def scores(self, question: str, texts: Sequence[str]) -> list[float]:
        new = [text for text in dict.fromkeys(texts) if (question, text) not in self._known]
        if new:
            try:
                found = await to_thread.run_sync(self._encoder.relevance, question, new, limiter=self._slots)
            except ModelUnavailable:
                self.failed = True
                raise
            self._known.update({(question, text): score for text, score in zip(new, found, strict=True)})
        return [self._known[question, text] for text in texts]


def _source(n: int, hit: Hit, lead: str) -> PromptSource:
    stated, added = dates.date_stated(hit.title, hit.source, hit.metadata, hit.passage), dates.date_added(hit.document_id)
    words = stated or (f"added {added[:10]}" if added else "no date")
    return PromptSource(
        n, hit.title, hit.passage, hit.document_id, stated or added, words, lead, (hit.source or "").rsplit("/", 1)[-1]
    )


def _citation(found: Retrieval, n: int) -> dict[str, Any]:
    hit = found.hits[n - 1]
    cited: dict[str, Any] = {"n": n, "document_id": hit.document_id, "title": hit.title, "passage": hit.passage}
    return cited | ({"source": hit.source} if hit.source is not None else {})


def _retrieval(found: Retrieval) -> dict[str, Any]:
    hits = [
        {"document_id": hit.document_id, "title": hit.title, "passage": hit.passage, "score": round(hit.score, 6)}
        for hit in found.hits
    ]
    return {"hits": hits, "mode": found.mode_used} | ({"degraded": found.degraded} if found.degraded else {})
