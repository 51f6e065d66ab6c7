"""The address of the laptop's service, and the API key to use."""

from __future__ import annotations

from collections.abc import Mapping

from teal.client.service import Address, Client
from teal.errors import OperatorError, Unreachable
from teal.laptop.layout import Layout
from teal.laptop.state import load_state


def address(layout: Layout, environ: Mapping[str, str], key: str | None = None) -> Address:
    """The laptop's address. The key: the one given, else TEAL_KEY, else the admin key that `teal up` made. Raises Unreachable."""
    state = load_state(layout)
    if state is None:
        raise Unreachable("https://localhost", "this stack was never started: `teal up` starts it")
    found = key or environ.get("TEAL_KEY")
    found = found or kept_admin_key(layout)
    return Address(f"https://localhost:{state.ports.public}", found, layout.ca)


def kept_admin_key(layout: Layout) -> str | None:
    """The admin key that `teal up` made; None when there is none, or the file is damaged and contains no key."""
    try:
        found = layout.admin_key.read_text(encoding="utf-8-sig", errors="replace").strip()
    except OSError:
        return None
    return found if found and found.isascii() and found.isprintable() else None


def probe_address(where: Address) -> tuple[bool, str]:
    """Whether the load balancer answers over HTTPS with a certificate of its own CA and has a working app process;
    the reason if not."""
    try:
        with Client(where) as client:
            client.get("/healthz")
    except OperatorError as error:
        return False, error.what
    return True, "HTTPS verified"
