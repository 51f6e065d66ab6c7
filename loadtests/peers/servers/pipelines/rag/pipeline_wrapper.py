"""Haystack behind Hayhooks: the documented hybrid pipeline (embedder, two retrievers, joiner), and the same with prompt and generator.

Two components are written here in the way of its documentation: an embedder for the ONNX file, and a joiner that fuses as Teal
does (its own joiner has no convex combination).
Each list is one query; its document store reads the vector query's hits in pages of 10.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator
from typing import Any

from hayhooks import BasePipelineWrapper, async_streaming_generator, get_last_user_message
from haystack import Document, Pipeline, component
from haystack.components.builders import ChatPromptBuilder
from haystack.components.generators.chat import OpenAIChatGenerator
from haystack.dataclasses import ChatMessage
from haystack.utils import Secret
from haystack_integrations.components.retrievers.elasticsearch import ElasticsearchBM25Retriever, ElasticsearchEmbeddingRetriever
from haystack_integrations.document_stores.elasticsearch import ElasticsearchDocumentStore
from same_work import embedder, fuse, stems, work_settings

SOURCES = (
    "{% for one in documents %}[{{ loop.index }}] {{ one.meta.title }}\n{{ one.content }}\n\n{% endfor %}Question: {{ question }}"
)


@component
class QueryEmbedder:
    """Computes the query's vector, and its stems, which the index contains instead of words."""

    @component.output_types(embedding=list[float], words=str)
    def run(self, text: str) -> dict[str, Any]:
        return {"embedding": embedder().embed(text), "words": stems(text)}

    @component.output_types(embedding=list[float], words=str)
    async def run_async(self, text: str) -> dict[str, Any]:
        return {"embedding": await embedder().embed_async(text), "words": stems(text)}


@component
class ConvexJoiner:
    """Fuses both lists into one."""

    @component.output_types(documents=list[Document])
    def run(self, lexical: list[Document], semantic: list[Document], top_k: int | None = None) -> dict[str, Any]:
        found = {one.id: one for one in (*lexical, *semantic)}
        scores = [{one.id: one.score or 0.0 for one in documents} for documents in (lexical, semantic)]
        return {"documents": [found[key] for key, _ in fuse(scores[0], scores[1], top_k or work_settings()["top_k"])]}

    @component.output_types(documents=list[Document])
    async def run_async(self, lexical: list[Document], semantic: list[Document], top_k: int | None = None) -> dict[str, Any]:
        return self.run(lexical, semantic, top_k)


def hybrid(store: ElasticsearchDocumentStore) -> Pipeline:
    count = work_settings()["candidates"]
    pipeline = Pipeline()
    pipeline.add_component("embedder", QueryEmbedder())
    pipeline.add_component("lexical", ElasticsearchBM25Retriever(document_store=store, fuzziness="0", top_k=count))
    semantic = ElasticsearchEmbeddingRetriever(document_store=store, top_k=count, num_candidates=work_settings()["neighbours"])
    pipeline.add_component("semantic", semantic)
    pipeline.add_component("joiner", ConvexJoiner())
    pipeline.connect("embedder.words", "lexical.query")
    pipeline.connect("embedder.embedding", "semantic.query_embedding")
    pipeline.connect("lexical.documents", "joiner.lexical")
    pipeline.connect("semantic.documents", "joiner.semantic")
    return pipeline


class PipelineWrapper(BasePipelineWrapper):
    def setup(self) -> None:
        store = ElasticsearchDocumentStore(hosts=work_settings()["elasticsearch_url"], index=work_settings()["index"])
        _ = (
            store.async_client
        )  # made before first use: then the store skips its `GET /`, which the Elasticsearch here does not have
        self.pipeline = hybrid(store)
        self.answering = hybrid(store)
        template = [ChatMessage.from_system(work_settings()["system"]), ChatMessage.from_user(SOURCES)]
        self.answering.add_component("prompt", ChatPromptBuilder(template=template, required_variables=["documents", "question"]))
        model = {
            "model": work_settings()["model"],
            "api_base_url": work_settings()["openai_url"],
            "api_key": Secret.from_token("none"),
        }
        self.answering.add_component("generator", OpenAIChatGenerator(**model))
        self.answering.connect("joiner.documents", "prompt.documents")
        self.answering.connect("prompt.prompt", "generator.messages")

    async def run_api_async(self, query: str, top_k: int = work_settings()["top_k"]) -> list[dict[str, Any]]:
        found = await self.pipeline.run_async({"embedder": {"text": query}, "joiner": {"top_k": top_k}})
        return [
            {"id": one.id, "title": one.meta["title"], "passage": one.content, "score": one.score}
            for one in found["joiner"]["documents"]
        ]

    async def run_chat_completion_async(self, model: str, messages: list[dict], body: dict) -> AsyncGenerator:
        question = get_last_user_message(messages)
        given = {"embedder": {"text": question}, "prompt": {"question": question}}
        return async_streaming_generator(pipeline=self.answering, pipeline_run_args=given)
