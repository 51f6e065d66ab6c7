"""A public port that somebody else has, tried with real sockets."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from teal.errors import BadInput
from teal.laptop import up
from teal.laptop.layout import Layout
from teal.laptop.parts import caddy
from teal.laptop.state import UpOptions, choose_state
from tests.services.ports import free_port

pytestmark = pytest.mark.integration


@pytest.fixture
def ipv6_port() -> Iterator[int]:
    """A port that something holds on ::1 alone."""
    if not socket.has_ipv6:
        pytest.skip("This machine has no IPv6.")
    port = free_port()
    with socket.socket(socket.AF_INET6) as taken:
        taken.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        try:
            taken.bind(("::1", port))
        except OSError:
            pytest.skip("This machine has no ::1.")
        taken.listen()
        yield port


def test_a_port_held_on_ipv6_alone_is_refused_before_anything_starts(tmp_path: Path, ipv6_port: int) -> None:
    with pytest.raises(BadInput) as caught:
        up.check_public_port(choose_state(None, UpOptions(port=ipv6_port)))
    assert caught.value.where == f"[::1]:{ipv6_port}"
    row = caddy.port_row(Layout(tmp_path), ipv6_port)
    assert not row.ok, "another program's port is not ours"
    assert "in use by" in row.detail
