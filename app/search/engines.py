"""Opens the search engine that the settings name."""

from __future__ import annotations

from app.models.embed import stamp
from app.providers import SEARCH_ENGINES, load_registered
from app.search.port import SearchEngine, SearchReader, SearchWriter
from app.settings import Settings


def search_engine(settings: Settings) -> SearchEngine:
    """The configured engine, its driver loaded."""
    found: SearchEngine = load_registered(SEARCH_ENGINES, settings.search)
    return found


def open_reader(settings: Settings) -> SearchReader:
    """A reader of the configured engine. It connects at the first request, not here."""
    return search_engine(settings).open_reader(settings, stamp(settings))


def open_writer(settings: Settings) -> SearchWriter:
    """The configured engine for writing: for the worker and `app.admin` only. Call `ensure` before anything else."""
    return search_engine(settings).open_writer(settings)
