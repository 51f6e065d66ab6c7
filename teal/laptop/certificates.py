"""Caddy's certificates: when the served one expires, whether clients accept it,
and whether the files of Caddy's CAs are undamaged."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Iterator
from pathlib import Path

from teal.events import Event
from teal.laptop.layout import Layout

ANSWER_SECONDS = 3.0
REFUSED = "its certificate is refused by every client"


def remove_damaged(layout: Layout) -> Iterator[Event]:
    """Remove CAs whose certificate and key do not match. Caddy would not start with them; without them it makes new ones."""
    folder = layout.ca.parent
    name = damaged_authority(layout)
    if name is None:
        return
    said = f"{folder / f'{name}.crt'} or its key is damaged: a new one is made; browsers that trusted the old one must import it again"
    yield Event("caddy", "warn", said)
    # An intermediate is useless without its root, so it is removed too.
    for each in ("root", "intermediate") if name == "root" else ("intermediate",):
        for suffix in ("crt", "key"):
            file = folder / f"{each}.{suffix}"
            if file.exists():
                file.replace(file.with_name(f"{file.name}.damaged"))


def damaged_authority(layout: Layout) -> str | None:
    """Which CA, `root` or `intermediate`, has a certificate and key that do not match;
    None when both match or do not exist yet."""
    folder = layout.ca.parent
    for name in ("root", "intermediate"):
        files = [folder / f"{name}.crt", folder / f"{name}.key"]
        if any(file.exists() for file in files) and not _belong_together(*files):
            return name
    return None


def _belong_together(certificate: Path, key: Path) -> bool:
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(certificate, key)
    except (OSError, ValueError):  # ssl.SSLError is an OSError
        return False
    return True


def served_certificate(port: int, ca: Path) -> tuple[float | None, str | None]:
    """When the served certificate expires (Unix seconds), or why a client refuses it. Found by a real TLS handshake."""
    try:
        context = ssl.create_default_context(cafile=str(ca))
    except OSError as error:  # ssl.SSLError is an OSError
        return None, f"{ca} holds no certificate to verify it with ({type(error).__name__})"
    try:
        with (
            socket.create_connection(("127.0.0.1", port), timeout=ANSWER_SECONDS) as plain,
            context.wrap_socket(plain, server_hostname="localhost") as secure,
        ):
            served = secure.getpeercert() or {}
    except ssl.SSLCertVerificationError as error:
        return None, f"{REFUSED}: {error.verify_message}"
    except OSError as error:
        return None, f"nobody serves one ({type(error).__name__})"
    return ssl.cert_time_to_seconds(str(served["notAfter"])), None
