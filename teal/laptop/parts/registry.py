"""The parts of the laptop's stack, in starting order. A new part is its own file beside this one, and one line here."""

from __future__ import annotations

from teal.laptop.parts.app import App
from teal.laptop.parts.caddy import Caddy
from teal.laptop.parts.catalog import Catalog
from teal.laptop.parts.elasticsearch import Elasticsearch
from teal.laptop.parts.model import Model
from teal.laptop.parts.part import Part
from teal.laptop.parts.redis import Redis
from teal.laptop.parts.snapshots import Snapshots
from teal.laptop.parts.watchdog import Watchdog
from teal.laptop.parts.worker import Worker

# The load balancer: once it answers, people are served.
FRONT: Part = Caddy()
PARTS: tuple[Part, ...] = (Redis(), FRONT, Model(), Elasticsearch(), Worker(), App(), Catalog(), Snapshots(), Watchdog())


def owner(program: str) -> Part:
    """The part whose program this is."""
    return next(part for part in PARTS if part.owns(program))


def port_names() -> tuple[str, ...]:
    """Every loopback port that a part asks for by name."""
    return tuple(name for part in PARTS for name in part.ports)
