"""What the service needs of models."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Sequence
from dataclasses import dataclass
from typing import Final, Protocol

import numpy as np
from numpy.typing import NDArray

from app.settings import Settings

Vector = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Stamp:
    """Which embedding model made vectors: its name, the digest of its weights, and the vectors' length (0: no model, no vectors).
    A search index is stamped when it is created, and the stamp is compared each time the index is opened."""

    model: str
    digest: str
    dimensions: int


class Embedder(Protocol):
    """Unit-length float32 vectors. Thread-safe. Raises `app.errors.ModelUnavailable` when the provider does not answer."""

    stamp: Stamp

    def passages(self, texts: Sequence[str]) -> list[Vector]: ...

    def query(self, text: str) -> Vector: ...

    def reads(self, text: str) -> bool:
        """Whether the model was trained on this script; of a text that it cannot read, similarity says nothing."""


class CrossEncoder(Protocol):
    """Tells whether a text answers a question. Thread-safe; loads its files at the first call. `digest`: the SHA-256 of its weights.
    Raises `app.errors.ModelUnavailable` when they are missing or damaged."""

    digest: str

    def relevance(self, question: str, texts: Sequence[str]) -> list[float]:
        """One logit for each text: above 0 it rather answers the question, below it rather does not."""


class Generator(Protocol):
    """Writes an answer from a prompt, token by token. `label` tells a reader who wrote it."""

    label: str

    def stream(self, system: str, user: str) -> AsyncGenerator[str, None]: ...

    async def close(self) -> None: ...


@dataclass(frozen=True, slots=True)
class EmbeddingProvider:
    """An adapter as `app/providers.py` registers it.

    `stamp` says which model the settings name, before its files are there. `open` gives the embedder, or None while a local model's files are
    missing. Both raise `ModelUnavailable` for a model that the provider does not have; `open` also for files with another digest than the pinned.
    """

    stamp: Callable[[Settings], Stamp]
    open: Callable[[Settings], Embedder | None]


NO_MODEL: Final = Stamp("none", "none", 0)
NO_EMBEDDING: Final = EmbeddingProvider(stamp=lambda _: NO_MODEL, open=lambda _: None)


def no_generator(_: Settings) -> None:
    """Answers are extracted from the sources, word for word."""
