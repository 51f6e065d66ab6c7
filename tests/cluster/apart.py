"""A network of this thread's own, in which nobody else is: for programs that listen on every address they have."""

from __future__ import annotations

import ctypes
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from tests.services.required import require

_NEW_NETWORK: Final = 0x40000000  # CLONE_NEWNET of <sched.h>; os.unshare came with Python 3.12


@contextmanager
def network(*addresses: str) -> Iterator[None]:
    """This thread's sockets, and the threads and processes that it starts, have loopback and these addresses alone until the end."""
    require("Linux", "A network namespace is Linux's.", sys.platform == "linux")
    require("root", "Only root makes a network namespace.", os.geteuid() == 0)
    own = os.open("/proc/thread-self/ns/net", os.O_RDONLY)
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(_NEW_NETWORK):
        raise OSError(ctypes.get_errno(), "unshare")
    try:
        subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
        for address in addresses:
            subprocess.run(["ip", "address", "add", f"{address}/32", "dev", "lo"], check=True)
        yield
    finally:
        if libc.setns(own, _NEW_NETWORK):
            raise OSError(ctypes.get_errno(), "setns")
        os.close(own)
