"""Which embedder the settings ask for, and the stamp its index carries."""

from __future__ import annotations

from typing import Final

from app.models.port import Embedder
from app.models.registry import local_model
from app.search.port import Stamp
from app.settings import Settings

NO_MODEL: Final = Stamp("none", "none", 0)


def stamp(settings: Settings) -> Stamp:
    """The stamp of the configured model, known before its files are there; dimensions 0 when embedding is off."""
    if settings.embedding == "none":
        return NO_MODEL
    if settings.embedding == "bedrock":
        from app.models.embed_bedrock import bedrock_stamp

        return bedrock_stamp(settings.embedding_model)
    model = local_model(settings.embedding_model)
    return Stamp(model.name, model.onnx_sha256, model.dimensions)


def open_embedder(settings: Settings) -> Embedder | None:
    """The configured embedder; None when it is off or a local model's files are not there yet.

    Raises `ModelUnavailable` for an unknown model, or files that are not the pinned ones.
    """
    if settings.embedding == "none":
        return None
    if settings.embedding == "bedrock":
        from app.models.embed_bedrock import BedrockEmbedder

        return BedrockEmbedder(settings.embedding_model, region=settings.aws_region)
    from app.models.embed_local import LocalEmbedder, present

    model = local_model(settings.embedding_model)
    folder = settings.model_dir / model.name
    return LocalEmbedder(model, folder, threads=settings.embedding_threads) if present(folder) else None


def passage_text(title: str, text: str) -> str:
    """What is embedded for a passage: its document's title, then its text, without saying the title twice."""
    return text if not title or text.startswith(title) else f"{title}. {text}"
