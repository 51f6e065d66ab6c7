"""Opens the `Traffic` adapter of the laptop: it reads and sets shares, and with `entries` reaches one color."""

from __future__ import annotations

from collections.abc import Mapping

from teal.adapters import LAPTOP, adapter
from teal.client.entry import ColorEndpoint
from teal.laptop.layout import Layout
from teal.ports.traffic import Traffic
from teal.record.model import Color


def open_traffic(layout: Layout, entries: Mapping[Color, ColorEndpoint] | None = None) -> Traffic:
    """The adapter that teal/adapters.py names for the laptop. Opening it neither reads files nor sends requests."""
    made: Traffic = adapter("traffic", LAPTOP.traffic)(layout, entries or {})
    return made
