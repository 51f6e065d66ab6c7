"""A server of the standard library that listens as long as a block runs: what the tests' HTTP stand-ins are made of."""

from __future__ import annotations

import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path


class Handler(BaseHTTPRequestHandler):
    """Says nothing on the terminal. A stand-in adds `do_GET` and the like."""

    def received(self) -> bytes:
        """The request's body."""
        return self.rfile.read(int(self.headers.get("Content-Length") or 0))

    def answer(self, status: int = 200, body: bytes = b"", **headers: str) -> None:
        """The whole response. `headers`: `content_type="text/plain"` is Content-Type."""
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        return


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128  # as many clients as a load test has at once


@contextmanager
def listening(
    handler: type[BaseHTTPRequestHandler], address: str = "127.0.0.1", port: int = 0, tls: Path | None = None
) -> Iterator[int]:
    """Its port, until the end of the block. `port` 0: a free one. `tls`: a folder with `ca.pem` and `key.pem`."""
    server = _Server((address, port), handler)
    if tls is not None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(tls / "ca.pem", tls / "key.pem")
        server.socket = context.wrap_socket(server.socket, server_side=True)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield server.server_port
    finally:
        server.shutdown()
        server.server_close()
