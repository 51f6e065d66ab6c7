"""Who listens where."""

from __future__ import annotations

import errno
import ipaddress
import socket

import psutil
import pytest

from tests.testinfra.place import IMAGE_PORTS, Place

pytestmark = pytest.mark.integration


def test_the_stack_listens_on_loopback_alone(laptop: Place) -> None:
    listening = {(process.part, host) for process in laptop.processes() for host, _ in process.listens}
    assert {part for part, _ in listening} >= {"caddy", "redis"}
    assert [(part, host) for part, host in listening if not ipaddress.ip_address(host).is_loopback] == []


def test_the_stack_listens_on_the_ports_it_chose_and_no_other(laptop: Place) -> None:
    ports = laptop.state.ports
    wanted = {
        "caddy": {ports.public},
        "redis": {ports.redis},
        "elasticsearch": {ports.elasticsearch, ports.elasticsearch_transport},
        "blue-worker": {ports.worker("blue")},  # its metrics
        "green-worker": {ports.worker("green")},
    }
    for process in laptop.processes():
        color, _, slot = process.part.partition("-app-")
        chosen = {ports.apps("green" if color == "green" else "blue")[int(slot)]} if slot else wanted.get(process.part, set())
        assert {port for _, port in process.listens} <= chosen, process.part


def test_other_machines_do_not_reach_the_stack(laptop: Place) -> None:
    """On each of this machine's own addresses a connection is refused."""
    own = {row.address for rows in psutil.net_if_addrs().values() for row in rows if row.family == socket.AF_INET}
    for outside in (address for address in own if not ipaddress.ip_address(address).is_loopback):
        for port in (laptop.state.ports.public, laptop.state.ports.redis):
            with socket.socket() as probe:
                probe.settimeout(2)
                assert probe.connect_ex((outside, port)) == errno.ECONNREFUSED, outside


def test_a_container_listens_on_its_own_port_alone(container: Place) -> None:
    """All of its addresses, because the load balancer comes from outside; the namespace's policies say who may."""
    listening = {port for process in container.processes() for _, port in process.listens}
    assert listening <= IMAGE_PORTS
