"""The cross-encoder: how well a text answers a question, in one number, on this machine's CPU. Optional: answers are given without it, too.

Why it is there, and what it costs: docs/decisions/0014-cross-encoder.md.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

import numpy as np

from app.errors import ModelUnavailable
from app.models.onnx_files import encodable, open_session, open_tokenizer, present, verify
from app.models.port import CrossEncoder
from app.models.registry import CROSS_ENCODER, LocalCrossEncoder
from app.settings import Settings

WITHOUT: Final = "Fetch it with `teal up`, or set TEAL_CROSS_ENCODER=none."

_log = logging.getLogger(__name__)


class OnnxCrossEncoder:
    """Runs one pair at a time: in a batch a pair's number depends on its neighbours, by as much as 0.57, and sentences of different length were
    measured slower in batches (docs/decisions/0014-cross-encoder.md). Thread-safe: the session and the tokenizer keep no state between calls."""

    def __init__(self, model: LocalCrossEncoder, folder: Path, *, threads: int) -> None:
        """Raises `ModelUnavailable` when a file is missing or is not the pinned one."""
        verify(folder, onnx_sha256=model.onnx_sha256, tokenizer_sha256=model.tokenizer_sha256)
        self.digest = model.onnx_sha256
        self._tokenizer = open_tokenizer(folder, most_tokens=model.max_tokens)
        self._session = open_session(folder, threads=threads)

    def relevance(self, question: str, texts: Sequence[str]) -> list[float]:
        asked = encodable(question)
        return [self._relevance(asked, encodable(text)) for text in texts]

    def _relevance(self, question: str, text: str) -> float:
        pair = self._tokenizer.encode(question, text)
        fed = {"input_ids": pair.ids, "attention_mask": pair.attention_mask, "token_type_ids": pair.type_ids}
        found = self._session.run(None, {name: np.array([values], dtype=np.int64) for name, values in fed.items()})
        return float(found[0].reshape(-1)[0])


class LazyCrossEncoder:
    """Opened at the first call, once for all threads: many processes never need it, and it takes 0.2 s and its memory.

    Without its files each call raises `ModelUnavailable`, and the log says so once. Missing files are looked for again at each call, which costs
    two looks at the disk: `teal up` fetches them behind a running service. Files that were there and could not be opened are not tried again.
    """

    def __init__(self, digest: str, *, is_here: Callable[[], bool], open_model: Callable[[], CrossEncoder]) -> None:
        self.digest = digest
        self._is_here = is_here
        self._open_model = open_model
        self._opening = threading.Lock()
        self._model: CrossEncoder | None = None
        self._damage: str | None = None
        self._warned = False

    def relevance(self, question: str, texts: Sequence[str]) -> list[float]:
        """Raises `ModelUnavailable` while the model cannot be used."""
        return (self._model or self._opened()).relevance(question, texts)

    def _opened(self) -> CrossEncoder:
        with self._opening:
            if self._model is None:
                self._model = self._open()
            return self._model

    def _open(self) -> CrossEncoder:
        if self._damage is not None:
            raise ModelUnavailable(self._damage)
        if not self._is_here():
            raise self._warned_about(f"The cross-encoder's files are missing. {WITHOUT}")
        try:
            return self._open_model()
        except (
            Exception
        ) as error:  # ONNX Runtime's own errors have no common class, and an optional model must never fail an answer
            said = error.detail if isinstance(error, ModelUnavailable) else f"{type(error).__name__}: {error}"
            self._damage = f"The cross-encoder cannot be opened: {said} {WITHOUT} Then start this process anew."
            raise self._warned_about(self._damage) from error

    def _warned_about(self, said: str) -> ModelUnavailable:
        if not self._warned:
            self._warned = True
            _log.warning("answering without the cross-encoder: %s", said, extra={"digest": self.digest})
        return ModelUnavailable(said)


def open_local(settings: Settings) -> CrossEncoder:
    """The pinned model in TEAL_MODEL_DIR. Nothing is read from the disk before the first call."""
    folder = settings.model_dir / CROSS_ENCODER.name
    return LazyCrossEncoder(
        CROSS_ENCODER.onnx_sha256,
        is_here=lambda: present(folder),
        open_model=lambda: OnnxCrossEncoder(CROSS_ENCODER, folder, threads=settings.embedding_threads),
    )


def open_cross_encoder(settings: Settings) -> CrossEncoder | None:
    """The cross-encoder for answers that are quoted; None where a language model writes them, where nothing is embedded on this machine
    (it would be the only model file there), and where it is set to `none`."""
    if settings.cross_encoder != "local" or settings.embedding != "local" or settings.generation != "extractive":
        return None
    return open_local(settings)
