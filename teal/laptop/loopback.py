"""Ports on loopback: finds free ones, and the process that listens on a used one."""

from __future__ import annotations

import random
import socket

import psutil

from teal.errors import BadInput

INNER_PORTS = range(20_000, 30_000)  # ephemeral ports start at 32768 on Linux, 49152 on macOS


def free_ports(count: int) -> list[int]:
    """Different unused ports, below the range that the kernel uses for outgoing connections."""
    found: list[int] = []
    for port in random.sample(INNER_PORTS, len(INNER_PORTS)):
        if is_free(port):
            found.append(port)
        if len(found) == count:
            return found
    raise BadInput("No free port on loopback", where=f"127.0.0.1:{INNER_PORTS.start}-{INNER_PORTS.stop - 1}", next="teal doctor")


def is_free(port: int, host: str = "127.0.0.1") -> bool:
    """Whether a server could listen on this address now. Port 0: whether the machine has this address at all."""
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # a port in TIME_WAIT is free for a server
        try:
            probe.bind((host, port))
        except OSError:
            return False
    return True


def hosts() -> tuple[str, ...]:
    """IPv4's loopback, and IPv6's where this machine has one (browsers try it first for `localhost`)."""
    return ("127.0.0.1", "::1") if socket.has_ipv6 and is_free(0, "::1") else ("127.0.0.1",)


def listeners_on(port: int) -> list[psutil.Process]:
    """The processes that listen on this port, on any address, where the system lets this user see them."""
    try:
        rows = psutil.net_connections(kind="inet")
        pids = {row.pid for row in rows if row.pid and row.status == psutil.CONN_LISTEN and row.laddr and row.laddr.port == port}
        return [psutil.Process(pid) for pid in sorted(pids)]
    except (psutil.Error, OSError):
        return []


def first_listener(port: int) -> psutil.Process | None:
    """The first process of `listeners_on`, or None."""
    return next(iter(listeners_on(port)), None)


def described(process: psutil.Process | None) -> str:
    """` by NAME (pid N)`, to append to a sentence; empty for None."""
    try:
        return f" by {process.name()} (pid {process.pid})" if process else ""
    except psutil.Error:
        return ""
