"""How the official client sends its requests: HTTP/1.1 on kept connections, with the parser that also reads the service's own requests.

The client's usual way, aiohttp, took a sixth of the app's CPU for a search (docs/performance.md). What it sends, retries and
raises stays the client's. TLS is set up by the client's own class, from which this one inherits.
"""

from __future__ import annotations

import asyncio
import ssl
import time
from typing import Any, Final

import httptools
from elastic_transport import (
    AiohttpHttpNode,
    ApiResponseMeta,
    ConnectionError,
    ConnectionTimeout,
    HttpHeaders,
    NodeConfig,
    TlsError,
)
from elastic_transport._node import NodeApiResponse  # its place in 8.19; the package gives it no public one
from elastic_transport.client_utils import DEFAULT, DefaultType

IDLE_SECONDS: Final = 15.0  # a connection idle for longer is not used again: what is between may have forgotten it


class HttpNode(AiohttpHttpNode):
    """One node of Elasticsearch. It opens at most `connections_per_node` connections, and reuses them."""

    def __init__(self, config: NodeConfig) -> None:
        super().__init__(config)
        self._room = asyncio.Semaphore(config.connections_per_node)
        self._idle: list[_Connection] = []

    async def perform_request(  # type: ignore[override]  # as the class above it has it
        self,
        method: str,
        target: str,
        body: bytes | None = None,
        headers: HttpHeaders | None = None,
        request_timeout: DefaultType | float | None = DEFAULT,
    ) -> NodeApiResponse:
        """Raises ConnectionTimeout, TlsError and ConnectionError of the client."""
        if method == "HEAD":  # its answer states the length of a body that does not come
            return await super().perform_request(method, target, body, headers, request_timeout)
        seconds = request_timeout if isinstance(request_timeout, int | float | None) else self.config.request_timeout
        request = self._head(method, target, headers, len(body or b"")) + (body or b"")
        began = time.monotonic()
        try:
            async with asyncio.timeout(seconds), self._room:
                status, fields, content = await self._ask(request)
        except TimeoutError as error:
            raise ConnectionTimeout(f"no answer within {seconds} s", errors=(error,)) from None
        except ssl.SSLError as error:
            raise TlsError(str(error), errors=(error,)) from None
        except (OSError, httptools.HttpParserError) as error:
            raise ConnectionError(str(error), errors=(error,)) from None
        meta = ApiResponseMeta(status, "1.1", HttpHeaders(fields), time.monotonic() - began, self.config)
        return NodeApiResponse(meta, content)

    async def close(self) -> None:  # type: ignore[override]
        for connection in self._idle:
            connection.close()
        self._idle.clear()
        await super().close()

    def _head(self, method: str, target: str, headers: HttpHeaders | None, length: int) -> bytes:
        fields = {**self.headers, **(headers or {}), "host": f"{self.host}:{self.port}", "content-length": str(length)}
        lines = "".join(f"{name}: {value}\r\n" for name, value in fields.items())
        return f"{method} {self.path_prefix}{target} HTTP/1.1\r\n{lines}\r\n".encode("latin-1")

    async def _ask(self, request: bytes) -> _Answer:
        connection = await self._connection()
        try:
            answer = await connection.ask(request)
        except BaseException:  # also cancelled: the answer would come to the next request
            connection.close()
            raise
        if connection.reusable:
            self._idle.append(connection)
        return answer

    async def _connection(self) -> _Connection:
        while self._idle:
            connection = self._idle.pop()
            if connection.reusable:
                return connection
            connection.close()
        loop = asyncio.get_running_loop()
        _, made = await loop.create_connection(_Connection, self.host, self.port, ssl=self._ssl_context)
        return made


_Answer = tuple[int, list[tuple[str, str]], bytes]  # status, headers, body


class _Connection(asyncio.Protocol):
    """A connection with one request at a time."""

    def __init__(self) -> None:
        self._answer: asyncio.Future[_Answer] | None = None
        self._closed = False
        self._idle_since = time.monotonic()
        self._begin()

    @property
    def reusable(self) -> bool:
        return not self._closed and time.monotonic() - self._idle_since < IDLE_SECONDS

    def ask(self, request: bytes) -> asyncio.Future[_Answer]:
        self._answer = asyncio.get_running_loop().create_future()
        self._transport.write(request)
        return self._answer

    def close(self) -> None:
        self._closed = True
        self._transport.close()

    def _begin(self) -> None:
        self._parser = httptools.HttpResponseParser(self)
        self._fields: list[tuple[str, str]] = []
        self._parts: list[bytes] = []

    # Called by the event loop.
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport: Any = transport

    def data_received(self, data: bytes) -> None:
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError as error:
            self._fail(error)

    def connection_lost(self, exc: Exception | None) -> None:
        self._closed = True
        self._fail(exc or ConnectionResetError("the engine closed the connection"))

    def _fail(self, error: Exception) -> None:
        if self._answer is not None and not self._answer.done():
            self._answer.set_exception(error)

    # Called by the parser.
    def on_header(self, name: bytes, value: bytes) -> None:
        self._fields.append((name.decode("latin-1"), value.decode("latin-1")))

    def on_body(self, part: bytes) -> None:
        self._parts.append(part)

    def on_message_complete(self) -> None:
        self._closed = self._closed or not self._parser.should_keep_alive()
        self._idle_since = time.monotonic()
        answer = (self._parser.get_status_code(), self._fields, b"".join(self._parts))
        if self._answer is not None and not self._answer.done():
            self._answer.set_result(answer)
        self._begin()
