"""A network of this thread's own, in which nobody else is: for programs that listen on every address they have."""

from __future__ import annotations

import ctypes
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.node import machine
from tests.services.required import require


@contextmanager
def network(*addresses: str) -> Iterator[None]:
    """This thread's sockets, and the threads and processes that it starts, have loopback and these addresses alone until the end."""
    require("Linux", "A network namespace is Linux's.", sys.platform == "linux")
    require("root", "Only root makes a network namespace.", os.geteuid() == 0)
    with machine.network(Path("/proc/thread-self/ns/net")):  # its own, to which it comes back
        libc = ctypes.CDLL(None, use_errno=True)
        if libc.unshare(machine.NEW_NETWORK):
            raise OSError(ctypes.get_errno(), "unshare")
        subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
        for address in addresses:
            subprocess.run(["ip", "address", "add", f"{address}/32", "dev", "lo"], check=True)
        yield
