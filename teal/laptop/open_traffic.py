"""Opens the laptop's load balancer: to read and set shares, and with `entries` to reach one color through it."""

from __future__ import annotations

from collections.abc import Mapping

from teal.adapters import LAPTOP, adapter
from teal.client.entry import ColorEndpoint
from teal.laptop.layout import Layout
from teal.ports.traffic import Traffic
from teal.record.model import Color


def open_traffic(layout: Layout, entries: Mapping[Color, ColorEndpoint] | None = None) -> Traffic:
    """The adapter that teal/adapters.py names for the laptop. Nothing is read or asked yet."""
    made: Traffic = adapter("traffic", LAPTOP.traffic)(layout, entries or {})
    return made
