"""What every search engine promises, run against each of them."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import replace

import numpy as np
import pytest

from app.errors import IndexMismatch, SearchUnavailable
from app.models.port import Stamp, Vector
from app.search.port import Candidates, Filters, Passage, SearchQuery, SearchWriter
from tests.contract.conftest import STAMP, Engine

pytestmark = pytest.mark.anyio


def vector(*numbers: float) -> Vector:
    padded = np.zeros(STAMP.dimensions, dtype=np.float32)
    padded[: len(numbers)] = numbers
    return padded / np.linalg.norm(padded)


def passage(document: str, ordinal: int = 0, text: str = "a tide table", **more: object) -> Passage:
    fields = {"title": f"Title of {document}", "collection": "default", "vector": vector(1, ordinal), **more}
    return Passage(id=f"{document}:{ordinal}", document_id=document, ordinal=ordinal, text=text, **fields)  # type: ignore[arg-type]


def store(writer: SearchWriter, *passages: Passage) -> None:
    writer.put(passages)
    writer.refresh()


async def find(engine: Engine, query: SearchQuery) -> Candidates:
    reader = engine.reader()
    try:
        return await reader.candidates(query)
    finally:
        await reader.close()


async def words(engine: Engine, text: str, limit: int = 10, filters: Filters | None = None) -> Mapping[str, float]:
    return (await find(engine, SearchQuery(text, None, limit, filters or Filters()))).lexical


async def read(engine: Engine, *passage_ids: str) -> Mapping[str, Passage]:
    reader = engine.reader()
    try:
        return await reader.passages(passage_ids)
    finally:
        await reader.close()


def ids(scores: Mapping[str, float]) -> list[str]:
    return list(scores)


async def test_both_lists_come_best_first_with_raw_scores(engine: Engine, writer: SearchWriter) -> None:
    store(
        writer,
        passage("near", text="the moon and the tide and the moon", vector=vector(1, 0.1)),
        passage("far", text="the moon over a long road with many other words beside it", vector=vector(0.2, 1)),
        passage("none", text="harbour", vector=vector(-1)),
    )
    found = await find(engine, SearchQuery("moon", vector(1), 10))
    assert ids(found.lexical) == ["near:0", "far:0"]
    assert found.lexical["near:0"] > found.lexical["far:0"] > 0
    assert ids(found.semantic) == ["near:0", "far:0", "none:0"]
    exact = [float(vector(1) @ other) for other in (vector(1, 0.1), vector(0.2, 1), vector(-1))]
    assert list(found.semantic.values()) == pytest.approx(exact, abs=0.02)  # one byte a number


async def test_every_stored_field_comes_back(engine: Engine, writer: SearchWriter) -> None:
    store(
        writer,
        passage(
            "d",
            3,
            "tide",
            title="On tides",
            collection="sea",
            source="https://example.org/t",
            metadata={"year": "1976", "a.b": "x"},
        ),
    )
    expected = Passage("d:3", "d", 3, "On tides", "tide", "sea", "https://example.org/t", {"year": "1976", "a.b": "x"})
    assert await read(engine, *await words(engine, "tide")) == {"d:3": expected}  # and no vector


async def test_passages_are_read_by_id_and_what_is_gone_is_left_out(engine: Engine, writer: SearchWriter) -> None:
    store(writer, *(passage(f"d{number}", text=f"tide {number}") for number in range(200)))
    writer.delete_document("d7")
    writer.refresh()
    wanted = [f"d{number}:0" for number in range(100)]
    found = await read(engine, *wanted, "absent:0", "x" * 600, "'; DROP TABLE passage; --")
    assert sorted(found) == sorted(set(wanted) - {"d7:0"})
    assert all(one.text == f"tide {one.document_id[1:]}" for one in found.values())
    assert await read(engine) == {}


async def test_a_list_that_is_not_asked_for_is_empty(engine: Engine, writer: SearchWriter) -> None:
    store(writer, passage("d"))
    assert not (await find(engine, SearchQuery("tide", None, 10))).semantic
    assert not (await find(engine, SearchQuery(None, vector(1), 10))).lexical


async def test_words_are_found_in_other_forms_and_in_the_title(engine: Engine, writer: SearchWriter) -> None:
    store(writer, passage("plural", text="searching indexes"), passage("title", text="nothing", title="Café indexing"))
    assert sorted(ids(await words(engine, "SEARCHES"))) == ["plural:0"]
    assert sorted(ids(await words(engine, "index"))) == ["plural:0", "title:0"]
    assert ids(await words(engine, "cafe")) == ["title:0"]


async def test_a_word_whose_stem_has_another_stem_is_found(engine: Engine, writer: SearchWriter) -> None:
    store(writer, passage("tower", text="The lighthouse was built of limestone."))
    assert ids(await words(engine, "lighthouse")) == ["tower:0"]


async def test_stop_words_do_not_decide_unless_there_is_nothing_else(engine: Engine, writer: SearchWriter) -> None:
    store(writer, passage("common", text="what is the of and to in", title=""), passage("telling", text="estuary", title=""))
    assert ids(await words(engine, "what is the estuary")) == ["telling:0"]
    assert ids(await words(engine, "to be what is in")) == ["common:0"]


async def test_putting_twice_is_putting_once_and_the_last_wins(engine: Engine, writer: SearchWriter) -> None:
    store(writer, passage("d", text="first wording"))
    store(writer, passage("d", text="second phrase", vector=vector(0, 0, 1)))
    assert writer.count() == writer.count("d") == 1
    assert not await words(engine, "wording")
    assert ids(await words(engine, "phrase")) == ["d:0"]
    found = await find(engine, SearchQuery(None, vector(0, 0, 1), 10))
    assert ids(found.semantic) == ["d:0"]
    assert found.semantic["d:0"] == pytest.approx(1.0, abs=0.02)


async def test_a_shorter_revision_leaves_no_passage_behind(engine: Engine, writer: SearchWriter) -> None:
    store(writer, *(passage("d", ordinal) for ordinal in range(12)), passage("other"))
    assert writer.delete_document("d", keep_below=2) == 10
    writer.refresh()
    assert sorted(ids(await words(engine, "tide", 100))) == ["d:0", "d:1", "other:0"]
    assert sorted(ids((await find(engine, SearchQuery(None, vector(1), 100))).semantic)) == ["d:0", "d:1", "other:0"]


async def test_deleting_finds_what_was_put_a_moment_ago(writer: SearchWriter) -> None:
    writer.put([passage("d", ordinal) for ordinal in range(3)])
    assert writer.delete_document("d") == 3
    assert writer.delete_document("d") == 0
    writer.refresh()
    assert writer.count() == 0


async def test_publish_makes_visible(engine: Engine, writer: SearchWriter) -> None:
    writer.put([passage("d")])
    writer.refresh()
    assert ids(await words(engine, "tide")) == ["d:0"]
    assert writer.count("d") == 1


async def test_filters_hold_before_the_limit(engine: Engine, writer: SearchWriter) -> None:
    crowd = [passage(f"crowd{number}", text="tide tide tide", vector=vector(1)) for number in range(40)]
    wanted = passage(
        "wanted",
        text="a tide somewhere in a much longer text",
        collection="small",
        source="s",
        metadata={"lang": "en", "a.b": "*"},
        vector=vector(0.3, 1),
    )
    store(writer, *crowd, wanted)
    for filters in (
        Filters(collections=("small", "absent")),
        Filters(document_ids=("wanted",)),
        Filters(sources=("s",)),
        Filters(metadata=(("lang", "en"),)),
        Filters(metadata=(("a.b", "*"), ("lang", "en"))),
        Filters(collections=("small",), document_ids=("wanted", "crowd1"), metadata=(("lang", "en"),)),
    ):
        found = await find(engine, SearchQuery("tide", vector(1), 3, filters))
        assert (ids(found.lexical), ids(found.semantic)) == (["wanted:0"], ["wanted:0"]), filters


@pytest.mark.parametrize(
    "filters",
    [
        Filters(collections=()),
        Filters(collections=("default' OR '1'='1",)),
        Filters(document_ids=("*",)),
        Filters(metadata=(("lang", "de"),)),
        Filters(metadata=(("", ""),)),
        Filters(sources=("\ud800", "a\0b")),
        Filters(collections=("default",), metadata=(("lang", "en"), ("lang", "fr"))),
    ],
    ids=str,
)
async def test_filters_nothing_fits_find_nothing(engine: Engine, writer: SearchWriter, filters: Filters) -> None:
    store(writer, passage("d", metadata={"lang": "en"}))
    found = await find(engine, SearchQuery("tide", vector(1), 10, filters))
    assert (ids(found.lexical), ids(found.semantic)) == ([], [])


async def test_many_document_ids_are_one_filter(engine: Engine, writer: SearchWriter) -> None:
    store(writer, passage("d"))
    many = Filters(document_ids=(*(f"absent{number}" for number in range(5_000)), "d"))
    found = await find(engine, SearchQuery("tide", vector(1), 10, many))
    assert (ids(found.lexical), ids(found.semantic)) == (["d:0"], ["d:0"])


@pytest.mark.parametrize(
    "text",
    ['"', "tide\"", "'; DROP INDEX words; --", "tide AND", "NEAR(tide moon)", "title:tide OR *", "-tide^2 (", "{tide}", "tide\0moon", "🌊 tide 🌙",
     "\ud800 tide", "%s \\ / ~ ? * [ ]", "", "   ", "a " * 5_000, "x" * 10_000, "tide " * 2_000, "\u202e\ufeff", "ΤΊΔΕ 潮 tide"],
    ids=lambda text: ascii(text[:24]),
)  # fmt: skip
async def test_no_text_of_a_user_is_syntax(engine: Engine, writer: SearchWriter, text: str) -> None:
    store(writer, passage("d"))
    found = ids(await words(engine, text))
    assert found == (["d:0"] if "tide" in text.lower() or text.startswith("a ") else [])
    assert writer.count() == 1


async def test_no_text_of_a_document_breaks_the_index(engine: Engine, writer: SearchWriter) -> None:
    hostile = "tide \0 \ud800 <script>alert(1)</script> 🌊 \"' " + "y" * 40_000
    store(writer, passage("d", text=hostile, title='<b>"\0', metadata={"k\0": "v" * 9_000}))
    (found,) = (await read(engine, *await words(engine, "tide"))).values()
    assert found.text.startswith("tide ")
    assert len(found.text) == len(hostile)


async def test_a_passage_without_a_vector_is_found_by_words_and_gets_one_later(engine: Engine, writer: SearchWriter) -> None:
    store(writer, passage("d", vector=None), passage("e", text="moon"))
    found = await find(engine, SearchQuery("tide", vector(1), 10))
    assert (ids(found.lexical), ids(found.semantic)) == (["d:0"], ["e:0"])
    reader = engine.reader()
    assert ((await reader.status()).passages, (await reader.status()).vectors) == (2, 1)
    store(writer, passage("d"))
    assert (await reader.status()).vectors == 2
    await reader.close()
    assert sorted(ids((await find(engine, SearchQuery(None, vector(1), 10))).semantic)) == ["d:0", "e:0"]


async def test_status_counts_and_names_the_model(engine: Engine, writer: SearchWriter) -> None:
    store(writer, *(passage("d", ordinal) for ordinal in range(5)))
    reader = engine.reader()
    status = await reader.status()
    await reader.close()
    assert (status.passages, status.vectors, status.stamp) == (5, 5, STAMP)


@pytest.mark.parametrize(
    "other",
    [replace(STAMP, model="another"), replace(STAMP, digest="0"), replace(STAMP, dimensions=16)],
    ids=["model", "digest", "dimensions"],
)
async def test_another_models_index_is_refused(engine: Engine, writer: SearchWriter, other: Stamp) -> None:
    store(writer, passage("d"))
    with pytest.raises(IndexMismatch, match="test-model"):
        writer.ensure(other)
    reader = engine.reader(other)
    with pytest.raises(IndexMismatch, match="test-model"):
        await reader.candidates(SearchQuery("tide", None, 10))
    with pytest.raises(IndexMismatch):
        await engine.reader().candidates(SearchQuery(None, np.ones(5, dtype=np.float32), 10))
    await reader.close()


async def test_without_a_model_every_index_is_searched_by_words(engine: Engine, writer: SearchWriter) -> None:
    store(writer, passage("d"))
    off = Stamp("none", "none", 0)
    writer.ensure(off)
    reader = engine.reader(off)
    assert ids((await reader.candidates(SearchQuery("tide", None, 10))).lexical) == ["d:0"]
    await reader.close()


async def test_an_index_made_without_a_model_takes_words_only(engine: Engine) -> None:
    writer = engine.writer()
    writer.ensure(Stamp("none", "none", 0))
    store(writer, passage("d", vector=None))
    reader = engine.reader(Stamp("none", "none", 0))
    assert ids((await reader.candidates(SearchQuery("tide", vector(1), 10))).lexical) == ["d:0"]
    assert (await reader.status()).vectors == 0
    await reader.close()
    with pytest.raises(IndexMismatch):
        writer.ensure(STAMP)
    writer.close()


async def test_ensure_again_changes_nothing(engine: Engine, writer: SearchWriter) -> None:
    store(writer, passage("d"))
    second = engine.writer()
    assert second.ensure(STAMP) == second.ensure(STAMP)
    assert second.count() == 1
    second.close()


async def test_a_reader_before_the_first_index_says_what_is_missing(engine: Engine) -> None:
    reader = engine.reader()
    with pytest.raises(SearchUnavailable, match="yet"):
        await reader.candidates(SearchQuery("tide", vector(1), 10))
    with pytest.raises(SearchUnavailable, match="yet"):
        await reader.status()
    writer = engine.writer()
    writer.ensure(STAMP)
    store(writer, passage("d"))
    assert ids((await reader.candidates(SearchQuery("tide", None, 10))).lexical) == ["d:0"]
    writer.close()
    await reader.close()


@pytest.mark.parametrize("name", ["embedded", "elasticsearch"])
async def test_an_engine_that_is_not_there_is_said_quickly(name: str, dead_engine: Callable[[str], Engine]) -> None:
    reader = dead_engine(name).reader()
    for _ in range(8):  # more than opens the breaker
        start = time.monotonic()
        with pytest.raises(SearchUnavailable):
            await reader.candidates(SearchQuery("tide", vector(1), 10))
        assert time.monotonic() - start < 2.5  # the deadline of a search, 2 s, and a slow machine
    await reader.close()


async def test_an_index_tells_which_documents_it_holds_and_how_much_of_each(engine: Engine, writer: SearchWriter) -> None:
    store(writer, *(passage(f"d{number}", ordinal) for number in range(5) for ordinal in range(1 + number % 2)))
    found, after = list[str](), None
    while page := writer.document_ids(after=after, limit=2):
        found += page
        after = page[-1]
    assert sorted(found) == ["d0", "d1", "d2", "d3", "d4"]
    assert writer.tally(["d0", "d1", "d9"]) == {"d0": 1, "d1": 2}
    assert writer.tally([]) == {}


async def test_a_dropped_index_is_gone_and_dropping_it_again_does_no_harm(engine: Engine, writer: SearchWriter) -> None:
    store(writer, passage("d"))
    assert writer.drop() is True
    with pytest.raises(SearchUnavailable):
        await words(engine, "tide")
    again = engine.writer()
    assert again.drop() is False
