"""A TCP proxy on loopback that a test makes slow, silent or absent, while both its ends are real."""

from __future__ import annotations

import contextlib
import selectors
import socket
import threading
import time
from typing import Final, Literal
from urllib.parse import urlsplit

from tests.services.ports import free_port

Mode = Literal["pass", "slow", "hang", "refuse"]
_CHUNK_BYTES: Final = 65_536
_LOOK_SECONDS: Final = 0.05


class SlowSocket:
    """Listens on `port` and passes bytes on to `target` ("http://host:port").

    `pass`: at once. `slow`: each answer `delay_seconds` late. `hang`: connections are taken, nothing is answered. `refuse`: nobody
    listens, and open connections end.
    """

    def __init__(self, target: str) -> None:
        parts = urlsplit(target)
        assert parts.hostname
        assert parts.port
        self._target = (parts.hostname, parts.port)
        self._open: set[socket.socket] = set()
        self._lock = threading.Lock()
        self._closed = False
        self._listener: socket.socket | None = None
        self.mode: Mode = "pass"
        self.delay_seconds = 5.0
        self.port = self._listen(free_port())  # none that the kernel lends: while nobody listens, a connection could take it
        self.url = f"http://127.0.0.1:{self.port}"

    def become(self, mode: Mode) -> None:
        """Change for open connections too. Whatever hung is cut off: a server that comes back knows nothing of its old connections."""
        before, self.mode = self.mode, mode
        if mode == "refuse" and self._listener is not None:
            listener, self._listener = self._listener, None
            with contextlib.suppress(OSError):
                listener.shutdown(socket.SHUT_RDWR)  # wakes the thread that accepts
            listener.close()
        if mode == "refuse" or before == "hang":
            self._cut()
        if mode != "refuse" and self._listener is None:
            self._listen(self.port)

    def close(self) -> None:
        self._closed = True
        self.become("refuse")

    def _listen(self, port: int) -> int:
        listener = socket.create_server(("127.0.0.1", port), backlog=128)
        self._listener = listener
        threading.Thread(target=self._accept, args=(listener,), daemon=True).start()
        bound: int = listener.getsockname()[1]
        return bound

    def _accept(self, listener: socket.socket) -> None:
        while True:
            try:
                client, _ = listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        try:
            server = socket.create_connection(self._target, timeout=5)
        except OSError:
            client.close()
            return
        with self._lock:
            self._open |= {client, server}
        with contextlib.suppress(OSError), selectors.DefaultSelector() as ready:
            for end in (client, server):
                end.setblocking(True)
                ready.register(end, selectors.EVENT_READ, server if end is client else client)
            while not self._closed:
                for key, _ in ready.select(_LOOK_SECONDS):
                    if self.mode == "hang":
                        time.sleep(_LOOK_SECONDS)  # what was sent stays in the kernel's buffer, unread
                        continue
                    source, sink = key.fileobj, key.data
                    assert isinstance(source, socket.socket)
                    data = source.recv(_CHUNK_BYTES)
                    if not data:
                        raise ConnectionResetError
                    if self.mode == "slow" and source is server:
                        time.sleep(self.delay_seconds)
                    sink.sendall(data)
        self._end({client, server})

    def _cut(self) -> None:
        with self._lock:
            ends = set(self._open)
        self._end(ends)

    def _end(self, ends: set[socket.socket]) -> None:
        with self._lock:
            self._open -= ends
        for end in ends:
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
            end.close()
