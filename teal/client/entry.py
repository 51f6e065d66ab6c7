"""How the releaser's own requests reach one color through the load balancer, whatever that color's share of the traffic."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from contract.http import BYPASS_HEADER as BYPASS_HEADER
from contract.http import PROBE_HEADER as PROBE_HEADER


@dataclass(frozen=True, slots=True)
class ColorEndpoint:
    """Send these headers to reach the color. `ca`: PEM file to verify the certificate against; None: the system's."""

    url: str
    headers: Mapping[str, str]
    ca: str | None = None
