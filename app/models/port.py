"""What the service needs of models."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from typing import Protocol

from app.search.port import Stamp, Vector


class Embedder(Protocol):
    """Unit-length float32 vectors. Thread-safe. Raises `app.errors.ModelUnavailable` when the provider does not answer."""

    stamp: Stamp

    def passages(self, texts: Sequence[str]) -> list[Vector]: ...

    def query(self, text: str) -> Vector: ...


class Generator(Protocol):
    """Writes an answer from a prompt, token by token. `label` tells a reader who wrote it."""

    label: str

    def stream(self, system: str, user: str) -> AsyncGenerator[str, None]: ...

    async def close(self) -> None: ...
