"""The service's own connections to Elasticsearch, against servers that behave and servers that do not."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from elastic_transport import ConnectionError, ConnectionTimeout, NodeConfig, TlsError

from app.search.elasticsearch import http_node
from app.search.elasticsearch.http_node import HttpNode
from tests.services.aws_place import certificate

pytestmark = [pytest.mark.anyio, pytest.mark.integration]
Reply = Callable[[bytes, asyncio.StreamWriter], Awaitable[None]]
OK = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 2\r\n\r\n{}"


class Server:
    """Reads requests with their bodies and lets `reply` write the answers; `connections` counts those that were opened."""

    def __init__(self, reply: Reply) -> None:
        self._reply = reply
        self.connections = 0
        self.requests: list[bytes] = []

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                length = int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0])
                self.requests.append(head + await reader.readexactly(length))
                await self._reply(self.requests[-1], writer)
        except (asyncio.IncompleteReadError, ConnectionError, OSError):
            writer.close()


@asynccontextmanager
async def served(reply: Reply, tls: ssl.SSLContext | None = None, **options: object) -> AsyncIterator[tuple[HttpNode, Server]]:
    server = Server(reply)
    listening = await asyncio.start_server(server.serve, "127.0.0.1", 0, ssl=tls)
    port = listening.sockets[0].getsockname()[1]
    scheme, host = ("https", "localhost") if tls else ("http", "127.0.0.1")
    node = HttpNode(NodeConfig(scheme, host, port, **options))  # type: ignore[arg-type]
    try:
        yield node, server
    finally:
        await node.close()
        listening.close()


async def ok(_: bytes, writer: asyncio.StreamWriter) -> None:
    writer.write(OK)


async def test_requests_in_turn_share_a_connection_and_arrive_whole() -> None:
    async with served(ok) as (node, server):
        for number in range(3):
            answer = await node.perform_request("POST", "/_msearch?a=b", b"%d\n" % number, request_timeout=5.0)
            assert (answer.meta.status, answer.body) == (200, b"{}")
            assert answer.meta.headers["content-type"] == "application/json"
        assert server.connections == 1
        assert [one.splitlines()[0] for one in server.requests] == [b"POST /_msearch?a=b HTTP/1.1"] * 3
        assert [one.rpartition(b"\r\n\r\n")[2] for one in server.requests] == [b"0\n", b"1\n", b"2\n"]


async def test_requests_at_once_open_no_more_connections_than_the_client_allows() -> None:
    async def late(_: bytes, writer: asyncio.StreamWriter) -> None:
        await asyncio.sleep(0.02)
        writer.write(OK)

    async with served(late, connections_per_node=3) as (node, server):
        await asyncio.gather(*(node.perform_request("GET", "/", request_timeout=10.0) for _ in range(12)))
        assert (server.connections, len(server.requests)) == (3, 12)


async def test_an_answer_that_comes_in_pieces_and_chunks_is_read_whole() -> None:
    async def chunks(_: bytes, writer: asyncio.StreamWriter) -> None:
        for part in (
            b"HTTP/1.1 200 OK\r\ntransfer-enc",
            b'oding: chunked\r\n\r\n3\r\n{"a',
            b'\r\n4\r\n": 1\r\n1\r\n}\r\n',
            b"0\r\n\r\n",
        ):
            writer.write(part)
            await writer.drain()
            await asyncio.sleep(0.01)

    async with served(chunks) as (node, server):
        for _ in range(2):
            assert (await node.perform_request("GET", "/", request_timeout=5.0)).body == b'{"a": 1}'
        assert server.connections == 1


async def test_a_connection_that_the_engine_closed_or_that_was_idle_for_long_is_not_used_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def last(_: bytes, writer: asyncio.StreamWriter) -> None:
        writer.write(OK)
        await writer.drain()
        writer.close()

    async with served(last) as (node, server):
        await node.perform_request("GET", "/", request_timeout=5.0)
        await asyncio.sleep(0.1)
        await node.perform_request("GET", "/", request_timeout=5.0)
        assert server.connections == 2
    monkeypatch.setattr(http_node, "IDLE_SECONDS", 0.0)
    async with served(ok) as (node, server):
        await node.perform_request("GET", "/", request_timeout=5.0)
        await node.perform_request("GET", "/", request_timeout=5.0)
        assert server.connections == 2


async def test_an_answer_that_comes_too_late_or_to_nobody_is_never_given_to_the_next_request() -> None:
    async def echo(request: bytes, writer: asyncio.StreamWriter) -> None:
        body = request.rpartition(b"\r\n\r\n")[2]
        if body == b"slow":
            await asyncio.sleep(0.2)
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n%b" % (len(body), body))

    async with served(echo) as (node, _):
        with pytest.raises(ConnectionTimeout):
            await node.perform_request("POST", "/", b"slow", request_timeout=0.05)
        leaving = asyncio.ensure_future(node.perform_request("POST", "/", b"slow", request_timeout=5.0))
        await asyncio.sleep(0.05)
        leaving.cancel()
        await asyncio.gather(leaving, return_exceptions=True)
        for number in range(5):
            body = b"next %d" % number
            assert (await node.perform_request("POST", "/", body, request_timeout=5.0)).body == body


async def half(_: bytes, writer: asyncio.StreamWriter) -> None:
    writer.write(OK[:-1])
    await writer.drain()
    writer.close()


async def no_http(_: bytes, writer: asyncio.StreamWriter) -> None:
    writer.write(b"\x16\x03\x01 this is something else\r\n\r\n")


@pytest.mark.parametrize("reply", [half, no_http])
async def test_half_an_answer_and_what_is_no_answer_are_errors_of_the_connection(reply: Reply) -> None:
    async with served(reply) as (node, _):
        with pytest.raises(ConnectionError):
            await node.perform_request("GET", "/", request_timeout=5.0)


async def test_nobody_there_is_an_error_of_the_connection() -> None:
    async with served(ok) as (node, _):
        pass
    with pytest.raises(ConnectionError):
        await node.perform_request("GET", "/", request_timeout=5.0)


async def test_tls_is_spoken_to_the_configured_authority_alone(tmp_path: Path) -> None:
    certificate(tmp_path)
    tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    tls.load_cert_chain(tmp_path / "ca.pem", tmp_path / "key.pem")
    async with served(ok, tls, ca_certs=str(tmp_path / "ca.pem")) as (node, _):
        assert (await node.perform_request("GET", "/", request_timeout=5.0)).body == b"{}"
    async with served(ok, tls) as (node, _):
        with pytest.raises(TlsError):
            await node.perform_request("GET", "/", request_timeout=5.0)
