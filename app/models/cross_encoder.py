"""The cross-encoder: how well a text answers a question, in one number, on this machine's CPU. Optional: answers are given without it, too.

Why it is there, and what it costs: docs/decisions/0014-cross-encoder.md.
"""

from __future__ import annotations

import logging
import math
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final, TypeAlias

import numpy as np

from app.errors import ModelUnavailable
from app.models.onnx_files import FILES, encodable, open_session, open_tokenizer, verify
from app.models.port import CrossEncoder
from app.models.registry import CROSS_ENCODER, LocalCrossEncoder
from app.settings import Settings

Files: TypeAlias = tuple[tuple[int, int, int], ...]  # of each file: inode, time of change in nanoseconds, bytes

# Until files that are whole and could not be opened are tried again: memory or file descriptors were short, and a try reads 34 MB.
RETRY_SECONDS: Final = 60.0
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
    """Opened at the first call, once for all threads: many processes never need it, and it takes 0.2 s of CPU and 55 MB.

    Without usable files each call raises `ModelUnavailable`, and the log says so once. They are looked at again at each call, which costs two
    looks at the disk: `teal up` brings them, or exchanges damaged ones, behind a running service. The same damaged files are not read twice;
    files that were not opened for another reason are tried again after RETRY_SECONDS.
    """

    def __init__(
        self,
        digest: str,
        *,
        files: Callable[[], Files | None],
        open_model: Callable[[], CrossEncoder],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`files` tells which files are there now; None when one is missing."""
        self.digest = digest
        self._files = files
        self._open_model = open_model
        self._clock = clock
        self._opening = threading.Lock()
        self._model: CrossEncoder | None = None
        self._refused: tuple[Files, str, float] | None = None  # which files, why, and until when by the clock
        self._warned = False

    def relevance(self, question: str, texts: Sequence[str]) -> list[float]:
        """Raises `ModelUnavailable` while the model cannot be used, and for every error of its own: an optional model must never fail an answer."""
        model = self._model or self._opened()
        try:
            return model.relevance(question, texts)
        except ModelUnavailable:
            raise
        except Exception as error:  # those of ONNX Runtime and of the tokenizer have no common class
            raise self._unavailable(f"it failed on a question: {_in_words(error)}") from error

    def _opened(self) -> CrossEncoder:
        with self._opening:
            if self._model is None:
                self._model = self._open()
                self._warned = False  # what goes wrong from now on is another matter, and is said once, too
            return self._model

    def _open(self) -> CrossEncoder:
        found = self._files()
        if found is None:
            raise self._unavailable("its files are missing. Fetch them with `teal up`")
        if self._refused is not None and self._refused[0] == found and self._clock() < self._refused[2]:
            raise self._unavailable(self._refused[1])
        try:
            return self._open_model()
        except Exception as error:  # as in `relevance`
            damaged = isinstance(error, ModelUnavailable)
            until = math.inf if damaged else self._clock() + RETRY_SECONDS
            self._refused = (found, f"it cannot be opened: {_in_words(error)}", until)
            raise self._unavailable(self._refused[1]) from error

    def _unavailable(self, why: str) -> ModelUnavailable:
        if not self._warned:
            self._warned = True
            _log.warning(
                "answering without the cross-encoder: %s, or set TEAL_CROSS_ENCODER=none.", why, extra={"digest": self.digest}
            )
        return ModelUnavailable(f"The cross-encoder cannot be used: {why}.")


def _in_words(error: Exception) -> str:
    said = error.detail if isinstance(error, ModelUnavailable) else f"{type(error).__name__}: {error}"
    return said.rstrip(".")


def files_in(folder: Path) -> Files | None:
    """The files that are there now, so that others in their place are known as others; None when one is missing."""
    try:
        found = [(folder / name).stat() for name in FILES]
    except OSError:
        return None
    return tuple((one.st_ino, one.st_mtime_ns, one.st_size) for one in found)


def open_local(settings: Settings) -> CrossEncoder:
    """The pinned model in TEAL_MODEL_DIR. Nothing is read from the disk before the first call."""
    folder = settings.model_dir / CROSS_ENCODER.name
    return LazyCrossEncoder(
        CROSS_ENCODER.onnx_sha256,
        files=lambda: files_in(folder),
        open_model=lambda: OnnxCrossEncoder(CROSS_ENCODER, folder, threads=settings.embedding_threads),
    )


def open_cross_encoder(settings: Settings) -> CrossEncoder | None:
    """The cross-encoder for answers that are quoted; None where a language model writes them, where nothing is embedded on this machine
    (it would be the only model file there), and where it is set to `none`."""
    if settings.cross_encoder != "local" or settings.embedding != "local" or settings.generation != "extractive":
        return None
    return open_local(settings)
