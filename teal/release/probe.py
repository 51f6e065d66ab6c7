"""Requests of the releaser itself, to one color through the load balancer."""

from __future__ import annotations

import ssl

import httpx

from teal.traffic.port import Entry

TIMEOUT = httpx.Timeout(30.0, connect=3.0)  # seconds: a slow answer is for the analysis to judge, no answer is a failure


def open_client(entry: Entry) -> httpx.Client:
    """A client that reaches one color whatever its share of the traffic."""
    verify = ssl.create_default_context(cafile=entry.ca) if entry.ca else ssl.create_default_context()
    # trust_env off: a proxy setting must not send loopback traffic, or the probe's secret, elsewhere.
    return httpx.Client(base_url=entry.url, headers=dict(entry.headers), verify=verify, timeout=TIMEOUT, trust_env=False)
