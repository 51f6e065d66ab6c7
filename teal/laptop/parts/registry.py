"""The parts of the laptop's stack, in starting order. A new part is its own file beside this one, and one line here."""

from __future__ import annotations

from teal.laptop.parts.app import AppPart
from teal.laptop.parts.caddy import CaddyPart
from teal.laptop.parts.catalog import CatalogPart
from teal.laptop.parts.cross_encoder import CrossEncoderPart
from teal.laptop.parts.elasticsearch import ElasticsearchPart
from teal.laptop.parts.model import ModelPart
from teal.laptop.parts.part import Part
from teal.laptop.parts.redis import RedisPart
from teal.laptop.parts.snapshots import SnapshotsPart
from teal.laptop.parts.watchdog import WatchdogPart
from teal.laptop.parts.worker import WorkerPart

# The load balancer. Once it answers, the service is reachable.
FRONT: Part = CaddyPart()
PARTS: tuple[Part, ...] = (
    RedisPart(),
    FRONT,
    ModelPart(),
    CrossEncoderPart(),
    ElasticsearchPart(),
    WorkerPart(),
    AppPart(),
    CatalogPart(),
    SnapshotsPart(),
    WatchdogPart(),
)


def owner(program: str) -> Part:
    """The part whose program this is."""
    return next(part for part in PARTS if part.owns(program))


def port_names() -> tuple[str, ...]:
    """Every loopback port that a part asks for by name."""
    return tuple(name for part in PARTS for name in part.ports)
