"""The running laptop stack, as the measurements reach it."""

from __future__ import annotations

import os
import ssl

import httpx

from teal.laptop.address import address
from teal.laptop.layout import locate_layout


def client() -> httpx.Client:
    """A client of the stack that `make up` started, with its certificate checked and its admin key."""
    where = address(locate_layout(os.environ), os.environ)
    verify = ssl.create_default_context(cafile=str(where.ca))
    return httpx.Client(base_url=where.url, headers={"Authorization": f"Bearer {where.key}"}, verify=verify, trust_env=False)
