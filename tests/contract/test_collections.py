"""Both search engines keep collections apart for every query, not only for those somebody thought of."""

from __future__ import annotations

import asyncio

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from app.search.port import Filters, Passage, SearchQuery, SearchWriter
from tests.contract.conftest import Engine
from tests.contract.test_search_contract import vector

COLLECTIONS = ("red", "green", "blue")
WORDS = ("moon", "tide", "harbour", "lantern")
PASSAGES = {
    f"{collection}-{number}:0": Passage(
        id=f"{collection}-{number}:0",
        document_id=f"{collection}-{number}",
        ordinal=0,
        title=f"The {WORDS[number % 4]}",
        text=" ".join(WORDS[: 1 + number % 4]),
        collection=collection,
        source=f"s{number % 2}",
        metadata={"part": WORDS[number % 4]},
        vector=vector(1, number % 4, number),
    )
    for collection in COLLECTIONS
    for number in range(8)
}
documents = st.sampled_from([passage.document_id for passage in PASSAGES.values()] + ["nothing"])
filters = st.builds(
    Filters,
    collections=st.lists(st.sampled_from([*COLLECTIONS, "empty"]), unique=True).map(tuple),  # none at all is a key without any
    document_ids=st.none() | st.lists(documents, min_size=1, max_size=6).map(tuple),
    sources=st.none() | st.lists(st.sampled_from(("s0", "s1")), min_size=1).map(tuple),
    metadata=st.just(()) | st.sampled_from([(("part", word),) for word in WORDS]),
)
queries = st.builds(
    SearchQuery,
    text=st.none()
    | st.lists(st.sampled_from([*WORDS, "collection", "red", "OR", '"', "*"]), min_size=1, max_size=4).map(" ".join),
    vector=st.none() | st.tuples(st.integers(0, 3), st.integers(0, 9)).map(lambda pair: vector(1, *pair)),
    limit=st.integers(1, 50),
    filters=filters,
)


def test_no_query_finds_a_passage_outside_of_its_collections(engine: Engine, writer: SearchWriter) -> None:
    writer.put(list(PASSAGES.values()))
    writer.refresh()

    loop = asyncio.new_event_loop()
    reader = engine.reader()
    found = 0

    @settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True, database=None)
    @given(query=queries)
    def each(query: SearchQuery) -> None:
        nonlocal found
        candidates = loop.run_until_complete(reader.candidates(query))
        ids = {*candidates.lexical, *candidates.semantic}
        assert {PASSAGES[one].collection for one in ids} <= set(query.filters.collections or ())
        found += len(ids)

    try:
        each()
    finally:
        loop.run_until_complete(reader.close())
        loop.close()
    assert found > 100, "the queries find too little to prove anything"
