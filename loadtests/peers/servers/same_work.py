"""The work that all peers do in the same way as Teal: the query's vector, its stems, and the fusion of both lists.

It runs in a peer's own environment, where Teal is not installed. `loadtests.peers` reads the settings that must be shared (stop
words, weight, prompt) from Teal and writes them to a file; its path is in PEER_SETTINGS.
"""

from __future__ import annotations

import asyncio
import json
import os
import threading
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

import apsw
import numpy as np
import onnxruntime
from tokenizers import Tokenizer

_local = threading.local()


@lru_cache(maxsize=1)
def work_settings() -> Mapping[str, Any]:
    """elasticsearch_url, index, candidates, neighbours, top_k, model_folder, max_tokens, stop_words, semantic_weight, openai_url, model, system."""
    read: Mapping[str, Any] = json.loads(Path(os.environ["PEER_SETTINGS"]).read_text())
    return read


class OnnxEmbedder:
    """The same ONNX file by the same runtime with the same options, so the model costs everyone the same.

    It caches vectors, as Teal does, because some scenarios ask questions whose vector is already known.
    """

    def __init__(self) -> None:
        folder = Path(work_settings()["model_folder"])
        self._tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
        self._tokenizer.enable_truncation(work_settings()["max_tokens"])
        self._tokenizer.no_padding()
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        self._session = onnxruntime.InferenceSession(str(folder / "model.onnx"), options, providers=["CPUExecutionProvider"])
        self._known: dict[str, list[float]] = {}

    def known(self, text: str) -> list[float] | None:
        return self._known.get(text)

    def embed(self, text: str) -> list[float]:
        """Mean of the token states, at unit length."""
        if text not in self._known:
            ids = np.array([self._tokenizer.encode(text).ids], dtype=np.int64)
            given = {"input_ids": ids, "attention_mask": np.ones_like(ids), "token_type_ids": np.zeros_like(ids)}
            mean = self._session.run(None, given)[0][0].mean(axis=0)
            self._known[text] = (mean / np.linalg.norm(mean)).astype(np.float32).tolist()
        return self._known[text]

    async def embed_async(self, text: str) -> list[float]:
        """Like `embed`, but outside the event loop when the model has to run."""
        return self.known(text) or await asyncio.to_thread(self.embed, text)


@lru_cache(maxsize=1)
def embedder() -> OnnxEmbedder:
    return OnnxEmbedder()


def stems(text: str) -> str:
    """The query in the form of the index's field `words`: Porter stems, without stop words unless there are no other words."""
    if not hasattr(_local, "tokenizer"):
        _local.connection = apsw.Connection(":memory:")
        _local.tokenizer = _local.connection.fts5_tokenizer("porter", ["unicode61", "remove_diacritics", "2"])
    data = text.encode()
    found = _local.tokenizer(data, apsw.FTS5_TOKENIZE_DOCUMENT, None, include_colocated=False)
    words = [(data[start:end].decode().lower(), stem) for start, end, stem in found]
    telling = [stem for word, stem in words if word not in _stop_words()]
    return " ".join(telling or [stem for _, stem in words])


@lru_cache(maxsize=1)
def _stop_words() -> frozenset[str]:
    return frozenset(work_settings()["stop_words"])


def fuse(lexical: Mapping[str, float], semantic: Mapping[str, float], top_k: int) -> list[tuple[str, float]]:
    """Teal's convex combination of both score lists, the best `top_k`; Elasticsearch's cosine scores are spread all the same."""
    weight = work_settings()["semantic_weight"]
    words, meaning = _spread(lexical, floor=0.0), _spread(semantic, floor=None)
    scores = {key: (1 - weight) * words.get(key, 0.0) + weight * meaning.get(key, 0.0) for key in words.keys() | meaning.keys()}
    return [(key, scores[key]) for key in sorted(scores, key=lambda key: (-scores[key], key))[:top_k]]


def _spread(scores: Mapping[str, float], floor: float | None) -> dict[str, float]:
    if not scores:
        return {}
    low = min(scores.values()) if floor is None else floor
    span = max(scores.values()) - low
    return {key: (score - low) / span if span > 0 else 1.0 for key, score in scores.items()}
