"""A proxy on loopback that reaches nobody: whoever opens a tunnel through it, to any host, is answered here.

Programs that are built to ask a host on the internet, or an address inside a cluster, are run unchanged so.
"""

from __future__ import annotations

import socketserver
import ssl
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any, ClassVar

from tests.services.certificates import self_signed

Answer = Callable[[str], tuple[int, str, bytes]]  # of a URL, such as https://example.com:443/index.yaml: status, media type, body


@dataclass(frozen=True)
class Tunnel:
    """`url`: the proxy's, for HTTPS_PROXY; `socket`: the same as a socket's file; `authority`: the certificate that clients must trust."""

    url: str
    socket: Path
    authority: Path


@contextmanager
def dig(folder: Path, hosts: Sequence[str], answer: Answer) -> Iterator[Tunnel]:
    """In `folder`, until the end of the block. The certificate is for `hosts`."""
    authority, key = folder / "tunnel.crt", folder / "tunnel.key"
    self_signed(authority, key, hosts)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(authority, key)
    handler = type("Handler", (_Handler,), {"context": context, "answer": staticmethod(answer)})
    with ExitStack() as running:
        by_port = running.enter_context(_Server(("127.0.0.1", 0), handler))
        by_file = running.enter_context(_FileServer(str(folder / "tunnel.sock"), handler))
        for server in (by_port, by_file):
            threading.Thread(target=server.serve_forever, daemon=True).start()
            running.callback(server.shutdown)
        yield Tunnel(f"http://127.0.0.1:{by_port.server_address[1]}", folder / "tunnel.sock", authority)


class _Server(socketserver.ThreadingTCPServer):
    daemon_threads = True

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that does not trust the certificate hangs up: what it says then is what its test is about."""


class _FileServer(socketserver.ThreadingUnixStreamServer):
    daemon_threads = True
    handle_error = _Server.handle_error


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    context: ClassVar[ssl.SSLContext]
    answer: ClassVar[Answer]
    _host = ""

    def do_CONNECT(self) -> None:
        self.send_response_only(200)
        self.end_headers()
        self._host = self.path
        self.connection = self.context.wrap_socket(self.connection, server_side=True)
        self.rfile = self.connection.makefile("rb")
        self.wfile = self.connection.makefile("wb")  # type: ignore[assignment]
        self.close_connection = False

    def do_GET(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        status, kind, body = self.answer(f"https://{self._host}{self.path}")
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    do_POST = do_GET

    def log_message(self, format: str, *args: Any) -> None:
        """Nobody reads it."""
