"""Access to this process's metrics. On a laptop every user of the machine can reach a loopback port, so a token is required. On
AWS network policies decide who reaches the port, and no token is set, because the collectors there cannot send one."""

from __future__ import annotations

import hmac
from collections.abc import Callable, Iterable
from typing import Any, Final

from prometheus_client import start_http_server
from pydantic import SecretStr

_HEADER: Final = "Authorization"


def metrics_token_header(token: SecretStr | None) -> dict[str, str]:
    """The HTTP headers with which one process reads another's metrics; empty without a token."""
    return {_HEADER: f"Bearer {token.get_secret_value()}"} if token else {}


def admitted(given: str | None, token: SecretStr | None) -> bool:
    """Whether the Authorization header `given` contains the token; True for every request when no token is set."""
    return token is None or hmac.compare_digest(
        (given or "").encode("latin-1", "replace"), metrics_token_header(token)[_HEADER].encode()
    )


def serve_metrics(port: int, address: str, token: SecretStr | None) -> None:
    """Serve this process's metrics in a thread on a port of their own, at every path. A request without the token gets 404."""
    server, _ = start_http_server(port, addr=address)  # unprotected for a moment, while nothing has been counted yet
    server.set_app(_guarded(server.get_app(), token))


def _guarded(inner: Any, token: SecretStr | None) -> Callable[[dict[str, Any], Any], Iterable[bytes]]:
    def answer(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        if not admitted(environ.get("HTTP_AUTHORIZATION"), token):
            start_response("404 Not Found", [])
            return [b""]
        found: Iterable[bytes] = inner(environ, start_response)
        return found

    return answer
