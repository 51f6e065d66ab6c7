"""How many files the stack's processes may hold open at once."""

from __future__ import annotations

import resource

from teal.errors import BadInput

LEAST_FILES = 256  # Caddy, Redis and the service's processes each stay below it with twenty users; also supervisord's minfds
WANTED_FILES = 4096  # a client's connection is two files in Caddy and one in an app process


def raise_limit() -> None:
    """Raise this process's limit as far as allowed; child processes inherit it.
    Raises BadInput when the allowed limit is too low to start."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    unlimited = resource.RLIM_INFINITY
    most = WANTED_FILES if hard == unlimited else min(WANTED_FILES, hard)
    if soft != unlimited and soft < most:
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))
        soft = most
    if soft != unlimited and soft < LEAST_FILES:
        raise BadInput(f"Only {soft} files may be open at once; the stack needs {LEAST_FILES}", where=f"ulimit -Hn is {hard}",
                       next=f"ulimit -n {WANTED_FILES} (or raise the hard limit in /etc/security/limits.conf), then teal up")  # fmt: skip
