"""LlamaIndex behind its own server: two retrievers at once, fused, in a workflow; and the same with a model that streams.

The list by meaning comes from its Elasticsearch store by its usual retriever. Its own hybrid search needs Elasticsearch's RRF, which
the free distribution does not have, and the store returns scores stretched between the lowest and the highest, from which BM25's
zero cannot be found again. So the list by words is a custom retriever as its documentation shows one, on the store's own client.
A workflow's events are read by a second request, as its server's documentation has it.
"""

from __future__ import annotations

import asyncio
from typing import Any

from elasticsearch import AsyncElasticsearch
from llama_agents.server import WorkflowServer
from llama_index.core import VectorStoreIndex
from llama_index.core.embeddings import BaseEmbedding
from llama_index.core.llms import ChatMessage
from llama_index.core.retrievers import BaseRetriever
from llama_index.core.schema import NodeWithScore, QueryBundle
from llama_index.core.vector_stores.utils import metadata_dict_to_node
from llama_index.llms.openai_like import OpenAILike
from llama_index.vector_stores.elasticsearch import ElasticsearchStore
from same_work import embedder, fuse, stems, work_settings
from workflows import Context, Workflow, step
from workflows.events import Event, StartEvent, StopEvent


class OnnxEmbedding(BaseEmbedding):
    """The same model as everybody's."""

    def _get_query_embedding(self, query: str) -> list[float]:
        return embedder().embed(query)

    async def _aget_query_embedding(self, query: str) -> list[float]:
        return await embedder().embed_async(query)

    def _get_text_embedding(self, text: str) -> list[float]:
        return embedder().embed(text)


class WordsRetriever(BaseRetriever):
    """BM25 over stems."""

    def __init__(self, store: ElasticsearchStore) -> None:
        self._store = store
        super().__init__()

    def _retrieve(self, query_bundle: QueryBundle) -> list[NodeWithScore]:
        return asyncio.run(self._aretrieve(query_bundle))

    async def _aretrieve(self, query_bundle: QueryBundle) -> list[NodeWithScore]:
        answer = await self._store.client.search(
            index=self._store.index_name,
            size=work_settings()["candidates"],
            source_includes=["content", "metadata"],
            query={"match": {"words": {"query": stems(query_bundle.query_str)}}},
        )
        return [_node(hit) for hit in answer["hits"]["hits"]]


def _node(hit: dict[str, Any]) -> NodeWithScore:
    node = metadata_dict_to_node(hit["_source"]["metadata"], text=hit["_source"]["content"])
    return NodeWithScore(node=node, score=hit["_score"])


def with_neighbours(body: dict[str, Any], _: str | None) -> dict[str, Any]:
    """As many neighbours as everybody looks at; the store's own number is ten times those wanted."""
    return {"knn": body["knn"] | {"num_candidates": work_settings()["neighbours"]}}


class Asked(StartEvent):
    query: str
    top_k: int = work_settings()["top_k"]


class Sources(Event):
    passages: list[dict[str, Any]]


class Words(Event):
    text: str


store = ElasticsearchStore(
    index_name=work_settings()["index"],
    es_client=AsyncElasticsearch(work_settings()["elasticsearch_url"]),  # a client of its own would ask for `GET /`
)
by_meaning = VectorStoreIndex.from_vector_store(store, embed_model=OnnxEmbedding()).as_retriever(
    similarity_top_k=work_settings()["candidates"], vector_store_kwargs={"custom_query": with_neighbours}
)
by_words = WordsRetriever(store)
model = OpenAILike(
    model=work_settings()["model"],
    api_base=work_settings()["openai_url"],
    api_key="none",  # pragma: allowlist secret - the mock asks for none
    is_chat_model=True,
    context_window=32_000,
)


async def find(query: str, top_k: int) -> list[dict[str, Any]]:
    lexical, semantic = await asyncio.gather(by_words.aretrieve(query), by_meaning.aretrieve(query))
    found = {one.node.node_id: one.node for one in (*lexical, *semantic)}
    scores = [{one.node.node_id: one.score or 0.0 for one in nodes} for nodes in (lexical, semantic)]
    return [
        {"id": key, "title": found[key].metadata["title"], "passage": found[key].get_content(), "score": score}
        for key, score in fuse(scores[0], scores[1], top_k)
    ]


class Search(Workflow):
    @step
    async def search(self, asked: Asked) -> StopEvent:
        return StopEvent(result=await find(asked.query, asked.top_k))


class Ask(Workflow):
    @step
    async def search(self, context: Context, asked: Asked) -> Sources:
        await context.store.set("question", asked.query)
        sources = Sources(passages=await find(asked.query, asked.top_k))
        context.write_event_to_stream(sources)
        return sources

    @step
    async def answer(self, context: Context, sources: Sources) -> StopEvent:
        numbered = "\n\n".join(f"[{n}] {one['title']}\n{one['passage']}" for n, one in enumerate(sources.passages, start=1))
        question = await context.store.get("question")
        messages = [
            ChatMessage(role="system", content=work_settings()["system"]),
            ChatMessage(role="user", content=f"{numbered}\n\nQuestion: {question}"),
        ]
        written = ""
        async for part in await model.astream_chat(messages):
            written += part.delta or ""
            context.write_event_to_stream(Words(text=part.delta or ""))
        return StopEvent(result=written)


embedder()
server = WorkflowServer()
server.add_workflow("search", Search())
server.add_workflow("ask", Ask())
app = server.app
