"""Embedding on this machine's CPU: a quantised ONNX model, whose files are verified before use."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import numpy as np

from app.errors import ModelUnavailable
from app.models.port import EmbeddingProvider, Stamp, Vector
from app.models.registry import LocalModel, local_model
from app.settings import Settings
from app.text.scripts import mostly_latin

FILES: Final = ("model.onnx", "tokenizer.json")
SHORTEST_NORM: Final = 1e-12  # keeps the division finite; real vectors have norms around 1 or more


def stamp_of(model: LocalModel) -> Stamp:
    return Stamp(model.name, model.onnx_sha256, model.dimensions)


def present(folder: Path) -> bool:
    """Whether both files are there (their digests are checked at load)."""
    return all((folder / name).is_file() for name in FILES)


def pool(states: np.ndarray, pooling: str) -> Vector:
    """One text's token states `[tokens, dimensions]` to one unit-length vector: the first token's state, or the mean."""
    vector = states[0] if pooling == "cls" else states.mean(axis=0)
    return np.asarray(vector / max(float(np.linalg.norm(vector)), SHORTEST_NORM), dtype=np.float32)


class LocalEmbedder:
    """Runs one text at a time: a quantised model scales its activations over the whole batch, so the vector of a text
    would depend on its neighbours; and batches were measured slower (docs/decisions/0001-embedding-model.md).
    Thread-safe: the ONNX session and the tokenizer keep no state between calls."""

    def __init__(self, model: LocalModel, folder: Path, *, threads: int) -> None:
        """Raises `ModelUnavailable` when a file is missing or is not the pinned one."""
        for name, expected in zip(FILES, (model.onnx_sha256, model.tokenizer_sha256), strict=True):
            _verify(folder / name, expected)
        self.stamp = stamp_of(model)
        self._model = model
        from tokenizers import Tokenizer

        self._tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
        self._tokenizer.enable_truncation(model.max_tokens)  # replaces the file's own limit, 128 for MiniLM
        self._tokenizer.no_padding()  # the file pads every text to 128 tokens
        os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")  # read when the library is loaded: it would report its use elsewhere
        import onnxruntime  # loads for about a second, and is not needed for the stamp alone

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")  # waiting threads must not burn CPU
        self._session = onnxruntime.InferenceSession(str(folder / "model.onnx"), options, providers=["CPUExecutionProvider"])

    def passages(self, texts: Sequence[str]) -> list[Vector]:
        return [self._embed(text) for text in texts]

    def query(self, text: str) -> Vector:
        return self._embed(self._model.query_prefix + text)

    def reads(self, text: str) -> bool:
        return mostly_latin(text)  # the pinned models are English ones

    def _embed(self, text: str) -> Vector:
        # A lone surrogate is valid in JSON and in str, but not in UTF-8, which the tokenizer needs.
        ids = np.array([self._tokenizer.encode(text.encode("utf-8", "replace").decode()).ids], dtype=np.int64)
        states = self._session.run(
            None, {"input_ids": ids, "attention_mask": np.ones_like(ids), "token_type_ids": np.zeros_like(ids)}
        )[0]
        return pool(states[0], self._model.pooling)


def _verify(path: Path, expected: str) -> None:
    if not path.is_file():
        raise ModelUnavailable(f"The model file {path} is missing: fetch it with `teal up`.")
    with path.open("rb") as stream:
        found = hashlib.file_digest(stream, "sha256").hexdigest()
    if found != expected:
        raise ModelUnavailable(
            f"The model file {path} has SHA-256 {found}, not {expected}: remove its folder, then run `teal up` to fetch it again."
        )


def _open(settings: Settings) -> LocalEmbedder | None:
    model = local_model(settings.embedding_model)
    folder = settings.model_dir / model.name
    return LocalEmbedder(model, folder, threads=settings.embedding_threads) if present(folder) else None


PROVIDER: Final = EmbeddingProvider(stamp=lambda settings: stamp_of(local_model(settings.embedding_model)), open=_open)
