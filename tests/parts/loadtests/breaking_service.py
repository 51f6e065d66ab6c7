"""A service that breaks on purpose and counts what it did: the load test's report must agree with it to the last request.

`python -m tests.parts.loadtests.breaking_service --port 9000`. POST /seed/N begins anew with the fates of that seed, GET /counts says what became of
each request. Written on bare sockets, because no web framework cuts a chunk in the middle or resets a connection.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import socket
import struct
from collections import Counter

SEARCH_FATES = ("answered", "500", "429", "cut", "stalled", "slow", "reset")
ASK_FATES = (*SEARCH_FATES, "error event", "no done")
WEIGHTS = (10, 1, 1, 1, 1, 1, 1, 1, 1)
SLOW_SECONDS = 0.3
HITS = json.dumps({"hits": [{"source": "topics/email.txt", "title": "t"}]}).encode()
EVENTS = [
    b'event: retrieval\r\ndata: {"hits": []}\r\n\r\n',
    b'event: token\r\ndata: {"text": "a"}\r\n\r\n',
    b'event: token\r\ndata: {"text": "b"}\r\n\r\n',
    b'event: done\r\ndata: {"answer": "ab"}\r\n\r\n',
]


class Service:
    """`counts`: by path and fate, booked when the whole request has arrived."""

    def __init__(self) -> None:
        self.begin(0)

    def begin(self, seed: int) -> None:
        self.chance = random.Random(seed)
        self.counts: Counter[str] = Counter()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while await self._one(reader, writer):
                pass
        except (asyncio.IncompleteReadError, ConnectionError):
            pass  # the client went away
        finally:
            writer.close()

    async def _one(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        """Answers a request; whether the connection may carry another one."""
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
        _, path, _ = head.split(" ", 2)
        fields = dict(line.lower().split(": ", 1) for line in head.split("\r\n")[1:] if ": " in line)
        await reader.readexactly(int(fields.get("content-length", "0")))
        if path.startswith("/seed/"):
            self.begin(int(path.removeprefix("/seed/")))
            return await _whole(writer, b"{}")
        if path == "/counts":
            return await _whole(writer, json.dumps(self.counts).encode())
        fates = ASK_FATES if path == "/v1/ask" else SEARCH_FATES
        (fate,) = self.chance.choices(fates, WEIGHTS[: len(fates)])
        self.counts[f"{path} {fate}"] += 1
        return await (self._ask if path == "/v1/ask" else self._search)(reader, writer, fate)

    async def _search(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, fate: str) -> bool:
        if fate in ("500", "429"):
            return await _whole(writer, json.dumps({"code": f"made-{fate}"}).encode(), fate)
        if fate == "reset":
            return _reset(writer)
        if fate == "stalled":
            await reader.read(1)  # until the client has had enough
            return False
        if fate == "cut":
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 500\r\n\r\n" + HITS)
            await writer.drain()
            return False
        if fate == "slow":
            await asyncio.sleep(SLOW_SECONDS)
        return await _whole(writer, HITS)

    async def _ask(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, fate: str) -> bool:
        if fate in ("500", "429"):
            return await _whole(writer, json.dumps({"code": f"made-{fate}"}).encode(), fate)
        if fate == "slow":
            await asyncio.sleep(SLOW_SECONDS)
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n")
        events = EVENTS
        if fate == "error event":
            events = [*EVENTS[:2], b'event: error\r\ndata: {"code": "made-error"}\r\n\r\n']
        elif fate != "answered" and fate != "slow":
            events = EVENTS[:2]
        for event in events:
            writer.write(b"%x\r\n%s\r\n" % (len(event), event))
            await writer.drain()
            await asyncio.sleep(0.01)
        if fate == "reset":
            return _reset(writer)
        if fate == "stalled":
            await reader.read(1)
            return False
        if fate == "cut":
            writer.write(b"40\r\nevent: to")  # a chunk of 64 bytes of which nine come
            await writer.drain()
            return False
        writer.write(b"0\r\n\r\n")
        await writer.drain()
        return True


async def _whole(writer: asyncio.StreamWriter, body: bytes, status: str = "200") -> bool:
    writer.write(f"HTTP/1.1 {status} X\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body)
    await writer.drain()
    return True


def _reset(writer: asyncio.StreamWriter) -> bool:
    """Close with a reset instead of an orderly end."""
    writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    return False


async def main(port: int) -> None:
    """Serve on loopback until SIGTERM."""
    server = await asyncio.start_server(Service().serve, "127.0.0.1", port, backlog=1024)
    await server.serve_forever()


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, required=True)
    asyncio.run(main(parser.parse_args().port))
