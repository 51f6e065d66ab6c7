"""Embedding on this machine's CPU: a quantised ONNX model, whose files are verified before use."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Final

import numpy as np

from app.models.onnx_files import as_unavailable, encodable, open_session, open_tokenizer, present, verify
from app.models.port import EmbeddingProvider, Stamp, Vector
from app.models.registry import LocalModel, local_model
from app.settings import Settings
from app.text.scripts import mostly_latin

KNOWN_TEXT: Final = "text"  # every model embeds it
SHORTEST_NORM: Final = 1e-12  # keeps the division finite; real vectors have norms around 1 or more


def stamp_of(model: LocalModel) -> Stamp:
    return Stamp(model.name, model.onnx_sha256, model.dimensions)


def pool(states: np.ndarray, pooling: str) -> Vector:
    """Reduce one text's token states `[tokens, dimensions]` to one unit-length vector: the first token's state, or the mean."""
    vector = states[0] if pooling == "cls" else states.mean(axis=0)
    return np.asarray(vector / max(float(np.linalg.norm(vector)), SHORTEST_NORM), dtype=np.float32)


class LocalEmbedder:
    """Runs one text at a time: a quantised model scales its activations over the whole batch, so that the vector of a text would
    depend on the other texts, and batches were measured to be slower (docs/decisions/0001-embedding-model.md). Thread-safe: the
    ONNX session and the tokenizer keep no state between calls."""

    def __init__(self, model: LocalModel, folder: Path, *, threads: int) -> None:
        """Raises `ModelUnavailable` when a file is missing, is not the pinned one or cannot be opened."""
        verify(folder, onnx_sha256=model.onnx_sha256, tokenizer_sha256=model.tokenizer_sha256)
        self.stamp = stamp_of(model)
        self._model = model
        with as_unavailable(f"The model in {folder} cannot be opened"):
            # MiniLM's tokenizer file pads and truncates every text to 128 tokens; neither setting is used.
            self._tokenizer = open_tokenizer(folder, most_tokens=model.max_tokens)
            self._session = open_session(folder, threads=threads)

    def passages(self, texts: Sequence[str]) -> list[Vector]:
        """One vector for each text. Raises `ModelUnavailable` when the model embeds nothing now; the error of a text that it alone
        cannot embed stays as it is, so that only this text's document fails, after some tries, instead of waiting for ever."""
        try:
            return [self._embed(text) for text in texts]
        except Exception:
            with as_unavailable(f"The model {self._model.name} embeds no text"):
                self._embed(KNOWN_TEXT)
            raise

    def query(self, text: str) -> Vector:
        with as_unavailable(f"The model {self._model.name} could not embed the question"):
            return self._embed(self._model.query_prefix + text)

    def reads(self, text: str) -> bool:
        return mostly_latin(text)  # the pinned models are English ones

    def _embed(self, text: str) -> Vector:
        ids = np.array([self._tokenizer.encode(encodable(text)).ids], dtype=np.int64)
        states = self._session.run(
            None, {"input_ids": ids, "attention_mask": np.ones_like(ids), "token_type_ids": np.zeros_like(ids)}
        )[0]
        return pool(states[0], self._model.pooling)


def _open(settings: Settings) -> LocalEmbedder | None:
    model = local_model(settings.embedding_model)
    folder = settings.model_dir / model.name
    return LocalEmbedder(model, folder, threads=settings.embedding_threads) if present(folder) else None


PROVIDER: Final = EmbeddingProvider(stamp=lambda settings: stamp_of(local_model(settings.embedding_model)), open=_open)
