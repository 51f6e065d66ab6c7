"""LangChain behind LangServe: two retrievers of langchain-elasticsearch in parallel, fused,
and the usual chain that returns its sources.

Its own hybrid retriever needs Elasticsearch's RRF, which the free distribution does not have. So there are two queries, each with
a body function as in its documentation. The bodies leave the vector out of the hits.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from elasticsearch import AsyncElasticsearch
from fastapi import FastAPI
from langchain_core.documents import Document
from langchain_core.output_parsers import StrOutputParser
from langchain_core.prompts import ChatPromptTemplate
from langchain_core.runnables import RunnableLambda, RunnableParallel, RunnablePassthrough
from langchain_elasticsearch import AsyncElasticsearchRetriever
from langchain_openai import ChatOpenAI
from langserve import add_routes
from same_work import embedder, fuse, stems, work_settings

SHOWN = ["document_id", "ordinal", "title", "text"]
client = AsyncElasticsearch(work_settings()["elasticsearch_url"])


def by_words(query: str) -> dict[str, Any]:
    return {"size": work_settings()["candidates"], "_source": SHOWN, "query": {"match": {"words": {"query": stems(query)}}}}


def by_meaning(query: str) -> dict[str, Any]:
    neighbours = {
        "field": "vector",
        "query_vector": embedder().embed(query),
        "k": work_settings()["candidates"],
        "num_candidates": work_settings()["neighbours"],
    }
    return {"size": work_settings()["candidates"], "_source": SHOWN, "knn": neighbours}


def document(hit: Mapping[str, Any]) -> Document:
    found = hit["_source"]
    return Document(id=hit["_id"], page_content=found["text"], metadata={"title": found["title"], "score": hit["_score"]})


async def with_vector(query: str) -> str:
    """Return the query, after caching its vector, so that the body function does not block the event loop."""
    await embedder().embed_async(query)
    return query


def fused(lists: Mapping[str, list[Document]]) -> list[Document]:
    found = {str(one.id): one for documents in lists.values() for one in documents}
    scores = {name: {str(one.id): one.metadata["score"] for one in documents} for name, documents in lists.items()}
    return [found[key] for key, _ in fuse(scores["lexical"], scores["semantic"], work_settings()["top_k"])]


def retriever(body: Any) -> AsyncElasticsearchRetriever:
    return AsyncElasticsearchRetriever(
        index_name=work_settings()["index"], body_func=body, document_mapper=document, client=client
    )


def sources(given: Mapping[str, Any]) -> str:
    documents = enumerate(given["documents"], start=1)
    return "\n\n".join(f"[{n}] {one.metadata['title']}\n{one.page_content}" for n, one in documents)


search = (
    RunnableLambda(with_vector)
    | RunnableParallel(lexical=retriever(by_words), semantic=retriever(by_meaning))
    | RunnableLambda(fused)
)
prompt = ChatPromptTemplate.from_messages([("system", work_settings()["system"]), ("human", "{context}\n\nQuestion: {question}")])
model = ChatOpenAI(model=work_settings()["model"], base_url=work_settings()["openai_url"], api_key="none", streaming=True)
answer = RunnablePassthrough.assign(context=sources) | prompt | model | StrOutputParser()
ask = RunnableParallel(documents=search, question=RunnablePassthrough()).assign(answer=answer)

embedder()
app = FastAPI(title="LangChain Server")
add_routes(app, search.with_types(input_type=str), path="/search")
add_routes(app, ask.with_types(input_type=str), path="/ask")
