"""The embedding model that the settings name, and the text it is given for a passage."""

from __future__ import annotations

from app.models.port import Embedder, EmbeddingProvider, Stamp
from app.providers import EMBEDDING_PROVIDERS, load_registered
from app.settings import Settings


def provider(settings: Settings) -> EmbeddingProvider:
    """The configured provider."""
    found: EmbeddingProvider = load_registered(EMBEDDING_PROVIDERS, settings.embedding)
    return found


def stamp(settings: Settings) -> Stamp:
    """The stamp of the configured model, known before its files are there; dimensions 0 when embedding is off."""
    return provider(settings).stamp(settings)


def open_embedder(settings: Settings) -> Embedder | None:
    """The configured embedder; None when it is off or a local model's files are not there yet.

    Raises `ModelUnavailable` for an unknown model, or files that are not the pinned ones.
    """
    return provider(settings).open(settings)


def passage_text(title: str, text: str) -> str:
    """What is embedded for a passage: its document's title, then its text, without saying the title twice."""
    return text if not title or text.startswith(title) else f"{title}. {text}"
