"""A bare handler: FastAPI and the official clients, without authentication, cache of answers, limits or metrics.

/search and /ask fetch the texts of all candidates, as in a first implementation. /search-ids and /ask-ids fetch ids and then the
texts of the ten best, as Teal does: this is the least work possible.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

from elasticsearch import AsyncElasticsearch
from fastapi import FastAPI
from fastapi.responses import StreamingResponse
from openai import AsyncOpenAI
from pydantic import BaseModel
from same_work import embedder, fuse, stems, work_settings

SHOWN = ["document_id", "ordinal", "title", "text"]
COLUMNS = {"stored_fields": "_none_", "docvalue_fields": ["document_id", "ordinal"]}
search_client = AsyncElasticsearch(work_settings()["elasticsearch_url"])
model_client = AsyncOpenAI(base_url=work_settings()["openai_url"], api_key="none")


class SearchIn(BaseModel):
    query: str
    top_k: int = work_settings()["top_k"]


class Hit(BaseModel):
    id: str
    title: str
    passage: str
    score: float


class SearchOut(BaseModel):
    hits: list[Hit]


@asynccontextmanager
async def lifespan(_: FastAPI) -> AsyncIterator[None]:
    embedder()
    yield
    await search_client.close()
    await model_client.close()


app = FastAPI(lifespan=lifespan)


async def both_lists(query: str, asked: dict[str, Any]) -> list[list[dict[str, Any]]]:
    count, index = work_settings()["candidates"], {"index": work_settings()["index"]}
    neighbours = {
        "field": "vector",
        "query_vector": await embedder().embed_async(query),
        "k": count,
        "num_candidates": work_settings()["neighbours"],
    }
    common = {"size": count, "track_total_hits": False, **asked}
    words = {"match": {"words": {"query": stems(query)}}}
    answer = await search_client.msearch(searches=[index, {**common, "query": words}, index, {**common, "knn": neighbours}])
    return [response["hits"]["hits"] for response in answer["responses"]]


async def find(query: str, top_k: int) -> list[Hit]:
    lexical, semantic = await both_lists(query, {"_source": SHOWN})
    found = {hit["_id"]: hit["_source"] for hit in (*lexical, *semantic)}
    ranked = fuse({hit["_id"]: hit["_score"] for hit in lexical}, {hit["_id"]: hit["_score"] for hit in semantic}, top_k)
    return [Hit(id=key, title=found[key]["title"], passage=found[key]["text"], score=score) for key, score in ranked]


def scores(hits: list[dict[str, Any]]) -> dict[str, float]:
    return {f"{hit['fields']['document_id'][0]}:{hit['fields']['ordinal'][0]}": hit["_score"] for hit in hits}


async def find_ids_first(query: str, top_k: int) -> list[Hit]:
    lexical, semantic = await both_lists(query, COLUMNS)
    ranked = fuse(scores(lexical), scores(semantic), top_k)
    answer = await search_client.mget(index=work_settings()["index"], ids=[key for key, _ in ranked], source_includes=SHOWN)
    found = {one["_id"]: one["_source"] for one in answer["docs"]}
    return [Hit(id=key, title=found[key]["title"], passage=found[key]["text"], score=score) for key, score in ranked]


@app.post("/search")
async def search(body: SearchIn) -> SearchOut:
    return SearchOut(hits=await find(body.query, body.top_k))


@app.post("/search-ids")
async def search_ids(body: SearchIn) -> SearchOut:
    return SearchOut(hits=await find_ids_first(body.query, body.top_k))


Find = Callable[[str, int], Awaitable[list[Hit]]]


async def events(body: SearchIn, how: Find) -> AsyncIterator[str]:
    """The sources, then the model's words as they arrive."""
    hits = await how(body.query, body.top_k)
    yield f"event: sources\ndata: {json.dumps([hit.model_dump() for hit in hits])}\n\n"
    sources = "\n\n".join(f"[{n}] {hit.title}\n{hit.passage}" for n, hit in enumerate(hits, start=1))
    stream = await model_client.chat.completions.create(
        model=work_settings()["model"],
        stream=True,
        messages=[
            {"role": "system", "content": work_settings()["system"]},
            {"role": "user", "content": f"{sources}\n\nQuestion: {body.query}"},
        ],
    )
    async for chunk in stream:
        if chunk.choices and (text := chunk.choices[0].delta.content):
            yield f"event: token\ndata: {json.dumps({'text': text})}\n\n"
    yield "event: done\ndata: {}\n\n"


@app.post("/ask")
async def ask(body: SearchIn) -> StreamingResponse:
    return StreamingResponse(events(body, find), media_type="text/event-stream")


@app.post("/ask-ids")
async def ask_ids(body: SearchIn) -> StreamingResponse:
    return StreamingResponse(events(body, find_ids_first), media_type="text/event-stream")
