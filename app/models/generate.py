"""Which generator the settings ask for."""

from __future__ import annotations

from app.models.port import Generator
from app.settings import Settings


def open_generator(settings: Settings) -> Generator | None:
    """The configured language model, or None when answers are extracted from the sources."""
    if settings.generation == "openai":
        from app.models.generate_openai import OpenAIGenerator

        return OpenAIGenerator(settings)
    if settings.generation == "bedrock":
        from app.models.generate_bedrock import BedrockGenerator

        return BedrockGenerator(settings)
    return None
