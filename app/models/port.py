"""The ports of models: embedding, cross-encoding and text generation."""

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
    """The identity of an embedding model: its name, the digest of its weights, and the length of its vectors (0:
    no model, no vectors). A search index gets the stamp of its model when it is created, and the stamp is
    compared each time the index is opened."""

    model: str
    digest: str
    dimensions: int


class Embedder(Protocol):
    """Turns texts into float32 vectors of unit length. Thread-safe. Raises
    `app.errors.ModelUnavailable` when the provider does not answer."""

    stamp: Stamp

    def passages(self, texts: Sequence[str]) -> list[Vector]:
        """Raises `app.errors.PassageRefused` when the model will never take one of the texts."""

    def query(self, text: str) -> Vector: ...

    def reads(self, text: str) -> bool:
        """Whether the model was trained on the text's script; the similarity of a text that it cannot read means nothing."""


class CrossEncoder(Protocol):
    """Scores whether a text answers a question. Thread-safe; loads its files at the first call. `digest`: the SHA-256 of its
    weights. Raises `app.errors.ModelUnavailable` when the files are missing or damaged."""

    digest: str

    def relevance(self, question: str, texts: Sequence[str]) -> list[float]:
        """One logit for each text: above 0 the text more likely answers the question than not."""


class Generator(Protocol):
    """Writes an answer from a prompt, token by token. `label` tells the reader which model wrote it."""

    label: str

    def stream(self, system: str, user: str) -> AsyncGenerator[str, None]: ...

    async def close(self) -> None: ...


@dataclass(frozen=True, slots=True)
class EmbeddingProvider:
    """An adapter of an embedding provider, in the form that `app/providers.py` registers.

    `stamp` returns the stamp of the configured model, even without its files. `open` returns the embedder, or None while the
    files of a local model are missing. Both raise `ModelUnavailable` for a model that the provider does not have, and `open` also
    for a file whose digest is not the pinned one.
    """

    stamp: Callable[[Settings], Stamp]
    open: Callable[[Settings], Embedder | None]


NO_MODEL: Final = Stamp("none", "none", 0)
NO_EMBEDDING: Final = EmbeddingProvider(stamp=lambda _: NO_MODEL, open=lambda _: None)


def no_generator(_: Settings) -> None:
    """No language model: answers are extracted from the sources word for word."""
