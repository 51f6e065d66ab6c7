"""The behaviour probes, in the order in which they are asked. A new one is its own file beside this one, and one line here."""

from __future__ import annotations

from typing import Final

from teal.release.probes.citations import CITATIONS
from teal.release.probes.document import DOCUMENT
from teal.release.probes.grounded import GROUNDED
from teal.release.probes.growth import GROWTH
from teal.release.probes.logs import LOGS
from teal.release.probes.page import PAGE
from teal.release.probes.streams import STREAMS
from teal.release.probes.tenants import TENANTS
from teal.release.probes.visit import Probe

PROBES: Final[tuple[Probe, ...]] = (PAGE, STREAMS, CITATIONS, GROUNDED, TENANTS, DOCUMENT, GROWTH, LOGS)
