"""Redis as a cache: nothing is kept across a restart, and it never grows past its limit."""

from __future__ import annotations

import secrets

from teal.stack.layout import Layout, StackState, write_private

MAX_MEMORY = "128mb"  # a laptop's share; the least used entries go first beyond it


def password(layout: Layout) -> str:
    """The generated password, made at the first call and kept in a file only its owner reads."""
    if not layout.redis_password.is_file():
        write_private(layout.redis_password, secrets.token_urlsafe(32))
    return layout.redis_password.read_text(encoding="utf-8").strip()


def render(layout: Layout, state: StackState, secret: str) -> str:
    """redis.conf (it holds the password: write it with mode 0600)."""
    return f"""\
bind 127.0.0.1
protected-mode yes
port {state.ports.redis}
requirepass {secret}
daemonize no
# A title would be written over the environment, where reaping looks for this stack's mark.
set-proc-title no
dir "{layout.run}"
maxmemory {MAX_MEMORY}
maxmemory-policy allkeys-lru
save ""
appendonly no
"""
