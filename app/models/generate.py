"""The language model that the settings name."""

from __future__ import annotations

from app.models.port import Generator
from app.providers import GENERATION_PROVIDERS, load_registered
from app.settings import Settings


def open_generator(settings: Settings) -> Generator | None:
    """The configured language model, or None when answers are extracted from the sources."""
    found: Generator | None = load_registered(GENERATION_PROVIDERS, settings.generation)(settings)
    return found
