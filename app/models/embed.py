"""The configured embedding model, and the text that it embeds for a passage."""

from __future__ import annotations

from app.models.port import Embedder, EmbeddingProvider, Stamp
from app.providers import EMBEDDING_PROVIDERS, load_registered
from app.settings import Settings


def provider(settings: Settings) -> EmbeddingProvider:
    """The configured provider."""
    found: EmbeddingProvider = load_registered(EMBEDDING_PROVIDERS, settings.embedding)
    return found


def stamp(settings: Settings) -> Stamp:
    """The stamp of the configured model, which is known even without its files; dimensions 0 when embedding is off."""
    return provider(settings).stamp(settings)


def open_embedder(settings: Settings) -> Embedder | None:
    """The configured embedder; None when embedding is off or the files of a local model are missing.

    Raises `ModelUnavailable` for an unknown model, or for files that are not the pinned ones.
    """
    return provider(settings).open(settings)


def passage_text(title: str, text: str) -> str:
    """The text that is embedded for a passage: its document's title and its text; a title with
    which the text begins is not repeated."""
    return text if not title or text.startswith(title) else f"{title}. {text}"
