"""Embedding by Amazon Bedrock: Titan Text Embeddings v2 and Cohere Embed v3.

Tested with botocore's Stubber against the documented request and response bodies; never run on AWS.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final, Literal

import numpy as np
from botocore.exceptions import BotoCoreError, ClientError
from circuitbreaker import CircuitBreakerError

from app.errors import ModelUnavailable, PassageRefused
from app.models.bedrock import OPEN_SECONDS, bedrock_client, breaker, is_refusal
from app.models.port import EmbeddingProvider, Stamp, Vector
from app.text.scripts import mostly_latin

if TYPE_CHECKING:
    from mypy_boto3_bedrock_runtime import BedrockRuntimeClient

InputType = Literal["search_document", "search_query"]
DIMENSIONS: Final = {"amazon.titan-embed-text-v2": 1024, "cohere.embed-english-v3": 1024, "cohere.embed-multilingual-v3": 1024}
COHERE_TEXTS_PER_CALL: Final = 96  # the documented limit of one Cohere call
COHERE_CHARACTERS: Final = 2048  # the documented limit of one text; `truncate` cuts to the model's tokens, after this
HARMLESS: Final = "The harbour has a lighthouse."  # a text that every embedding model takes
READ_SECONDS: Final = 15  # one call embeds at most 96 short passages


def bedrock_stamp(model_id: str) -> Stamp:
    """The stamp of a Bedrock model. Bedrock shows no digest, so the versioned model id stands for it. The id of an
    inference profile has a region prefix."""
    for name, dimensions in DIMENSIONS.items():
        if name in model_id:
            return Stamp(model_id, f"bedrock:{name}:{dimensions}", dimensions)
    raise ModelUnavailable(
        f"TEAL_EMBEDDING_MODEL is {model_id!r}, which is no known Bedrock embedding model: use one of {', '.join(DIMENSIONS)}."
    )


class _Refused(ModelUnavailable):
    """Bedrock refused a request for its content, or for its model."""


class BedrockEmbedder:
    """An embedder on Bedrock; thread-safe, because boto3 clients are. botocore retries throttled calls; other failures raise
    `ModelUnavailable`, and passages that the model refuses while it takes others `PassageRefused`."""

    def __init__(self, model_id: str, *, region: str | None = None, client: BedrockRuntimeClient | None = None) -> None:
        self.stamp = bedrock_stamp(model_id)
        self._model_id = model_id
        self.breaker = breaker("bedrock-embed")
        self._guarded = self.breaker.decorate(self._call)
        self._client = client or bedrock_client(region, read_seconds=READ_SECONDS)

    def passages(self, texts: Sequence[str]) -> list[Vector]:
        with contextlib.suppress(_Refused):
            return self._passages(texts)
        # Bedrock gives the same error for a model that does not exist or may not be used, and then no document is at fault. So the texts
        # are refused only between two calls of which the first succeeds.
        self._passages([HARMLESS])
        try:
            return self._passages(texts)
        except _Refused as error:
            raise PassageRefused(error.detail) from error

    def _passages(self, texts: Sequence[str]) -> list[Vector]:
        if "cohere" in self._model_id:
            starts = range(0, len(texts), COHERE_TEXTS_PER_CALL)
            return [
                vector
                for start in starts
                for vector in self._cohere(texts[start : start + COHERE_TEXTS_PER_CALL], "search_document")
            ]
        return [self._titan(text) for text in texts]

    def query(self, text: str) -> Vector:
        return self._cohere([text], "search_query")[0] if "cohere" in self._model_id else self._titan(text)

    def reads(self, text: str) -> bool:
        return "english" not in self._model_id or mostly_latin(text)

    def _titan(self, text: str) -> Vector:
        answer = self._invoke({"inputText": text, "dimensions": self.stamp.dimensions, "normalize": True})
        return self._vectors([answer.get("embedding")], 1)[0]

    def _cohere(self, texts: Sequence[str], input_type: InputType) -> list[Vector]:
        answer = self._invoke(
            {"texts": [text[:COHERE_CHARACTERS] for text in texts], "input_type": input_type, "truncate": "END"}
        )
        return self._vectors(answer.get("embeddings"), len(texts))

    def _invoke(self, body: dict[str, Any]) -> dict[str, Any]:
        try:
            answer: dict[str, Any] = json.loads(self._guarded(json.dumps(body)))
            return answer
        except CircuitBreakerError as error:
            raise ModelUnavailable(
                f"Bedrock model {self._model_id} failed repeatedly; calls pause for {OPEN_SECONDS} s.",
                retry_after_seconds=OPEN_SECONDS,
            ) from error
        except (ClientError, BotoCoreError, ValueError) as error:
            kind = _Refused if is_refusal(error) else ModelUnavailable
            raise kind(f"Bedrock model {self._model_id} did not embed the text: {error}") from error

    def _call(self, body: str) -> bytes:
        response = self._client.invoke_model(
            modelId=self._model_id, body=body, contentType="application/json", accept="application/json"
        )
        return response["body"].read()

    def _vectors(self, rows: Any, expected: int) -> list[Vector]:
        try:
            matrix = np.asarray(rows, dtype=np.float32).reshape(expected, self.stamp.dimensions)
        except (TypeError, ValueError) as error:
            raise ModelUnavailable(
                f"Bedrock model {self._model_id} did not answer {expected} vectors of {self.stamp.dimensions} numbers."
            ) from error
        return list(matrix / np.maximum(np.linalg.norm(matrix, axis=1, keepdims=True), 1e-12))


PROVIDER: Final = EmbeddingProvider(
    stamp=lambda settings: bedrock_stamp(settings.embedding_model),
    open=lambda settings: BedrockEmbedder(settings.embedding_model, region=settings.aws_region),
)
