"""Retrieval on an index in memory of the test: modes, fallbacks, explanation, limits."""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection
from pathlib import Path

import numpy as np
import pytest

from app.errors import ModelUnavailable, SearchUnavailable
from app.models.port import Stamp, Vector
from app.search.port import Candidates, Filters, Passage, SearchQuery, SearchReader
from app.search.retrieve import NO_EMBEDDER, NO_VECTORS, RetrievalRequest, retrieve
from app.search.sqlite.engine import EmbeddedReader, EmbeddedWriter

pytestmark = pytest.mark.anyio
STAMP = Stamp("test-model", "digest", 4)


def unit(*numbers: float) -> Vector:
    vector = np.array(numbers, dtype=np.float32)
    return vector / np.linalg.norm(vector)


async def embed(_: str) -> Vector:
    return unit(1, 0, 0, 0)


PASSAGES = (
    Passage("both:0", "both", 0, "Tides", "The moon pulls the tide.", "sea", "book", {"year": "1976"}, unit(1, 0.2, 0, 0)),
    Passage("meaning:0", "meaning", 0, "Gravity", "Attraction of large bodies.", "sky", vector=unit(1, 0, 0, 0.1)),
    Passage(
        "words:0",
        "words",
        0,
        "Song",
        "Moon river, a tune about a tide of love, and more words still.",
        "music",
        vector=unit(0, 1, 0, 0),
    ),
    Passage("late:0", "late", 0, "Late", "The moon, not embedded yet.", "late"),
)


@pytest.fixture
async def reader(tmp_path: Path) -> AsyncIterator[SearchReader]:
    writer = EmbeddedWriter(tmp_path / "search.db")
    writer.ensure(STAMP)
    writer.put(PASSAGES)
    writer.close()
    opened = EmbeddedReader(tmp_path / "search.db", "teal", STAMP)
    yield opened
    await opened.close()


async def test_a_deleted_document_is_no_hit_and_no_evidence_though_the_index_holds_it(reader: SearchReader) -> None:
    async def deleted(ids: Collection[str]) -> set[str]:
        return {"both", "meaning"} & set(ids)

    found = await retrieve(reader, embed, RetrievalRequest("moon tide"), candidates=100, deleted=deleted)
    assert {hit.document_id for hit in found.hits} == {"words", "late"}
    assert found.best_cosine == pytest.approx(0, abs=0.01)


async def test_deleted_passages_do_not_crowd_out_what_is_live(reader: SearchReader) -> None:
    async def deleted(ids: Collection[str]) -> set[str]:
        return {"both"} & set(ids)

    found = await retrieve(reader, embed, RetrievalRequest("moon tide", top_k=1), candidates=1, deleted=deleted)
    assert [hit.document_id for hit in found.hits] not in ([], ["both"])


async def test_hybrid_puts_what_both_lists_agree_on_first(reader: SearchReader) -> None:
    found = await retrieve(reader, embed, RetrievalRequest("moon tide"), candidates=100)
    assert found.hits[0].document_id == "both"
    assert {hit.document_id for hit in found.hits} == {"both", "meaning", "words", "late"}
    assert (found.mode_used, found.degraded) == ("hybrid", None)
    assert found.best_cosine == pytest.approx(0.995, abs=0.01)
    scores = [hit.score for hit in found.hits]
    assert scores == sorted(scores, reverse=True)
    assert all(0 <= score <= 1 for score in scores)


async def test_a_hit_carries_its_fields_and_where_it_stood_in_each_list(reader: SearchReader) -> None:
    found = await retrieve(reader, embed, RetrievalRequest("moon tide", explain=True, highlight=True), candidates=100)
    hits = {hit.document_id: hit for hit in found.hits}
    hit = hits["both"]
    assert (hit.title, hit.passage, hit.ordinal, hit.source, hit.collection, dict(hit.metadata)) == (
        "Tides",
        "The moon pulls the tide.",
        0,
        "book",
        "sea",
        {"year": "1976"},
    )
    assert hit.highlight == "The <mark>moon</mark> pulls the <mark>tide</mark>."
    explained = {name: one.explain for name, one in hits.items() if one.explain is not None}
    assert (explained["both"].lexical_rank, explained["both"].semantic_rank) == (1, 2)
    assert explained["late"].semantic_rank is None
    assert explained["meaning"].lexical_score is None
    assert explained["meaning"].semantic_rank == 1


async def test_every_hits_marks_are_the_querys_and_everything_else_is_escaped(reader: SearchReader) -> None:
    found = await retrieve(reader, embed, RetrievalRequest("bodies & <tides>", highlight=True), candidates=100)
    marks = {hit.document_id: hit.highlight for hit in found.hits}
    assert marks["both"] == "The moon pulls the <mark>tide</mark>."
    assert marks["meaning"] == "Attraction of large <mark>bodies</mark>."
    assert (await retrieve(reader, embed, RetrievalRequest("moon"), candidates=100)).hits[0].highlight is None


async def test_a_passage_removed_between_ranking_and_reading_is_left_out(reader: SearchReader) -> None:
    class Removing:
        """The reader, with a passage removed by somebody else just after it was found."""

        async def candidates(self, query: SearchQuery) -> Candidates:
            found = await reader.candidates(query)
            return Candidates({"gone:0": 99.0, **found.lexical}, found.semantic)

        passages, status, close = reader.passages, reader.status, reader.close

    found = await retrieve(Removing(), embed, RetrievalRequest("moon tide"), candidates=100)
    assert {hit.document_id for hit in found.hits} == {"both", "meaning", "words", "late"}


async def test_lexical_never_asks_the_model(reader: SearchReader) -> None:
    async def never(_: str) -> Vector:
        raise AssertionError("the model was asked")

    found = await retrieve(reader, never, RetrievalRequest("moon", mode="lexical"), candidates=100)
    assert [hit.document_id for hit in found.hits][-1] == "words"
    assert (found.mode_used, found.degraded, found.best_cosine) == ("lexical", None, None)
    assert found.hits[0].score == 1.0


async def test_semantic_scores_are_cosines(reader: SearchReader) -> None:
    found = await retrieve(reader, embed, RetrievalRequest("anything", mode="semantic"), candidates=100)
    assert [hit.document_id for hit in found.hits] == ["meaning", "both", "words"]
    assert found.hits[0].score == found.best_cosine


@pytest.mark.parametrize("mode", ["hybrid", "semantic"])
async def test_without_an_embedder_words_are_searched_and_it_is_said(reader: SearchReader, mode: str) -> None:
    found = await retrieve(reader, None, RetrievalRequest("moon", mode=mode), candidates=100)  # type: ignore[arg-type]
    assert len(found.hits) == 3
    assert (found.mode_used, found.degraded, found.best_cosine) == ("lexical", NO_EMBEDDER, None)


async def test_a_model_that_fails_costs_meaning_not_the_answer(reader: SearchReader) -> None:
    async def failing(_: str) -> Vector:
        raise ModelUnavailable("Bedrock is away.")

    found = await retrieve(reader, failing, RetrievalRequest("moon"), candidates=100)
    assert found.hits
    assert found.degraded == "Only words were searched: Bedrock is away."


@pytest.mark.parametrize("mode", ["hybrid", "semantic"])
async def test_where_nothing_is_embedded_yet_words_are_searched_and_it_is_said(reader: SearchReader, mode: str) -> None:
    request = RetrievalRequest("moon", mode=mode, filters=Filters(collections=("late",)))  # type: ignore[arg-type]
    found = await retrieve(reader, embed, request, candidates=100)
    assert [hit.document_id for hit in found.hits] == ["late"]
    assert (found.mode_used, found.degraded) == ("lexical", NO_VECTORS)


async def test_nothing_found_is_no_degradation(reader: SearchReader) -> None:
    found = await retrieve(reader, embed, RetrievalRequest("moon", filters=Filters(collections=("absent",))), candidates=100)
    assert (found.hits, found.mode_used, found.degraded, found.best_cosine) == ([], "hybrid", None, None)


async def test_top_k_cuts_the_fused_list_not_the_lists_before_it(reader: SearchReader) -> None:
    everything = await retrieve(reader, embed, RetrievalRequest("moon tide", top_k=4), candidates=100)
    first = await retrieve(reader, embed, RetrievalRequest("moon tide", top_k=1), candidates=100)
    assert first.hits == everything.hits[:1]


async def test_an_index_that_is_not_there_is_an_error_not_an_empty_answer(tmp_path: Path) -> None:
    missing = EmbeddedReader(tmp_path / "absent.db", "teal", STAMP)
    with pytest.raises(SearchUnavailable, match="yet"):
        await retrieve(missing, embed, RetrievalRequest("moon"), candidates=100)
    await missing.close()
