"""Who may read this process's metrics. On a laptop every user of the machine reaches a port on loopback, so there a token is asked for; on AWS
network policies say who reaches the port, and the collectors there can send none."""

from __future__ import annotations

import hmac
from collections.abc import Callable, Iterable
from typing import Any, Final

from prometheus_client import start_http_server
from pydantic import SecretStr

_HEADER: Final = "Authorization"


def metrics_token_header(token: SecretStr | None) -> dict[str, str]:
    """What one process sends to another to read its metrics."""
    return {_HEADER: f"Bearer {token.get_secret_value()}"} if token else {}


def admitted(given: str | None, token: SecretStr | None) -> bool:
    """Whether the header that was sent holds the token; everybody where there is none."""
    return token is None or hmac.compare_digest(
        (given or "").encode("latin-1", "replace"), metrics_token_header(token)[_HEADER].encode()
    )


def serve_metrics(port: int, address: str, token: SecretStr | None) -> None:
    """Serve this process's metrics at every path of a port of their own, on a thread; 404 without the token."""
    server, _ = start_http_server(port, addr=address)  # a moment without the guard: nothing is counted yet
    server.set_app(_guarded(server.get_app(), token))


def _guarded(inner: Any, token: SecretStr | None) -> Callable[[dict[str, Any], Any], Iterable[bytes]]:
    def answer(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        if not admitted(environ.get("HTTP_AUTHORIZATION"), token):
            start_response("404 Not Found", [])
            return [b""]
        found: Iterable[bytes] = inner(environ, start_response)
        return found

    return answer
