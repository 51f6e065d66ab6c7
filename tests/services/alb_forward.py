"""The process that stands in for a load balancer's data path: `python -m tests.services.alb_forward ADDRESS PORT LISTENER_ARN`.

It asks ELBv2's API (AWS_ENDPOINT_URL) for the listener's rules and the targets, checks the targets' health, and forwards HTTP/1.1, bodies as
they come. Its output is one JSON line for each change of a target's health and each answer of its own. Not here: TLS, HTTP/2, the firewall,
zones, and what a real one does about a target that it could not reach before it answers.
"""

from __future__ import annotations

import asyncio
import json
import random
import sys
import time
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Final

import boto3
import h11

from contract.http import IDLE_SECONDS
from tests.services.alb_model import STICKY, Group, Rule, read_group, read_rules, ticket

POLL_SECONDS: Final = 0.5  # AWS takes some seconds from an API call to its effect
CONNECT_SECONDS: Final = 10.0
BY_HEADER: Final = " (chosen by a header)"  # what a rule's header chose was not a user's request
_CHUNK: Final = 65_536
_HOP: Final = (b"connection", b"keep-alive", b"proxy-connection", b"upgrade")


class Peer:
    """One connection, as client or server."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, role: Any) -> None:
        self.reader, self.writer, self.http = reader, writer, h11.Connection(role)

    async def next(self) -> Any:
        while (event := self.http.next_event()) is h11.NEED_DATA:
            async with asyncio.timeout(IDLE_SECONDS):
                self.http.receive_data(await self.reader.read(_CHUNK))
        return event

    async def send(self, event: Any) -> None:
        if data := self.http.send(event):
            self.writer.write(data)
            await self.writer.drain()

    def close(self) -> None:
        self.writer.close()


@dataclass
class Target:
    """`state`: AWS's word. `idle`: connections that wait for a request. `busy`: those with one."""

    group: Group
    address: str
    port: int
    state: str = "initial"
    draining_since: float | None = None
    idle: list[Peer] = field(default_factory=list)
    busy: set[Peer] = field(default_factory=set)
    outstanding: int = 0
    checks: asyncio.Task[None] | None = None

    def become(self, state: str, why: str = "") -> None:
        if state != self.state:
            self.state = state
            say(target=self.address, group=self.group.arn, state=state, why=why)

    async def take(self) -> Peer:
        """A connection that is kept, or a new one."""
        while self.idle:
            peer = self.idle.pop()
            if not peer.reader.at_eof() and not peer.writer.is_closing():
                return peer
            peer.close()
        async with asyncio.timeout(CONNECT_SECONDS):
            return Peer(*await asyncio.open_connection(self.address, self.port), h11.CLIENT)

    async def check(self) -> None:
        """Until it is cancelled."""
        good = bad = 0
        while True:
            rules, began = self.group.check, time.monotonic()
            why = await self._asked()
            good, bad = (0, bad + 1) if why else (good + 1, 0)
            if good and (self.state == "initial" or good >= rules.healthy_after):
                self.become("healthy")
            elif bad >= rules.unhealthy_after:
                self.become("unhealthy", why)
            await asyncio.sleep(max(0.0, began + rules.interval_seconds - time.monotonic()))

    async def _asked(self) -> str:
        """Why the check failed; empty when it passed."""
        rules = self.group.check
        try:
            async with asyncio.timeout(rules.timeout_seconds):
                peer = Peer(*await asyncio.open_connection(self.address, self.port), h11.CLIENT)
                try:
                    headers = [
                        ("Host", f"{self.address}:{self.port}"),
                        ("User-Agent", "ELB-HealthChecker/2.0"),
                        ("Connection", "close"),
                    ]
                    await peer.send(h11.Request(method="GET", target=rules.path, headers=headers))
                    await peer.send(h11.EndOfMessage())
                    answer = await peer.next()
                finally:
                    peer.close()
        except TimeoutError:
            return "Request timed out"
        except (OSError, h11.RemoteProtocolError) as error:
            return f"Health checks failed: {type(error).__name__}"
        status = getattr(answer, "status_code", 0)
        return "" if status in rules.statuses else f"Health checks failed with these codes: [{status}]"


class Balancer:
    """The rules and targets as they were last read."""

    def __init__(self, listener: str) -> None:
        self._listener, self._api = listener, boto3.client("elbv2")
        self.rules: list[Rule] = []
        self.targets: dict[tuple[str, str], Target] = {}
        self._attributes: dict[str, dict[str, str]] = {}

    def read(self) -> tuple[list[Rule], list[Group]]:
        """In a thread: asks the API."""
        rules = read_rules(self._api.describe_rules(ListenerArn=self._listener)["Rules"])
        arns = sorted({arn for rule in rules for arn in rule.forward or ()})
        groups = []
        for row in self._api.describe_target_groups(TargetGroupArns=arns)["TargetGroups"] if arns else ():
            arn = row["TargetGroupArn"]
            if arn not in self._attributes:
                found = self._api.describe_target_group_attributes(TargetGroupArn=arn)["Attributes"]
                self._attributes[arn] = {each["Key"]: each["Value"] for each in found}
            health = self._api.describe_target_health(TargetGroupArn=arn)["TargetHealthDescriptions"]
            groups.append(read_group(row, self._attributes[arn], health))
        return rules, groups

    async def follow(self) -> None:
        while True:
            try:
                self.rules, groups = await asyncio.to_thread(self.read)
                self.register({(group.arn, address): (group, port) for group in groups for address, port in group.targets})
            except Exception as error:  # noqa: BLE001 - the API may be away for a moment; a load balancer goes on with what it knows
                print(f"the load balancer's API: {error!r}", file=sys.stderr, flush=True)
            self.end_drained()
            await asyncio.sleep(POLL_SECONDS)

    def register(self, wanted: dict[tuple[str, str], tuple[Group, int]]) -> None:
        for key, (group, port) in wanted.items():
            held = self.targets.get(key)
            if held is None or held.draining_since is not None:
                self.targets[key] = made = Target(group, key[1], port)
                say(target=made.address, group=group.arn, state="initial", why="")
                made.checks = asyncio.create_task(made.check())
        for key, target in self.targets.items():
            if key not in wanted and target.draining_since is None:
                target.draining_since = time.monotonic()
                if target.checks is not None:
                    target.checks.cancel()
                target.become("draining")
                while target.idle:
                    target.idle.pop().close()

    def end_drained(self) -> None:
        for key, target in list(self.targets.items()):
            if target.draining_since is not None and time.monotonic() - target.draining_since > target.group.delay_seconds:
                del self.targets[key]
                if target.busy:
                    say(own=f"{len(target.busy)} requests cut at the end of the deregistration delay of {target.address}")
                for peer in target.busy:
                    peer.close()

    def pick(self, arn: str) -> Target | None:
        """A healthy target; any when all are unhealthy; None when there is none."""
        held = [each for each in self.targets.values() if each.group.arn == arn]
        able = [each for each in held if each.state == "healthy"] or [each for each in held if each.state == "unhealthy"]
        random.shuffle(able)
        return min(able, key=lambda each: each.outstanding if each.group.least_outstanding else 0, default=None)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        client = Peer(reader, writer, h11.SERVER)
        with suppress(OSError, h11.LocalProtocolError, h11.RemoteProtocolError, TimeoutError, asyncio.IncompleteReadError):
            while isinstance(request := await client.next(), h11.Request):
                await self._answer(client, request)
                if client.http.our_state is not h11.DONE or client.http.their_state is not h11.DONE:
                    break
                client.http.start_next_cycle()
        client.close()

    async def _answer(self, client: Peer, request: h11.Request) -> None:
        headers = {name.decode().lower(): value.decode("latin-1") for name, value in request.headers}
        path = request.target.decode("latin-1")
        rule = next((each for each in self.rules if each.applies(path, headers)), None)
        asked = f"{path}{BY_HEADER}" if rule and rule.headers else path
        if rule is None or rule.forward is None:
            await self._own(client, rule.status if rule else 503, rule.page if rule else "", asked)
            return
        arn = rule.choose(
            next((each.partition("=")[2] for each in headers.get("cookie", "").split("; ") if each.startswith(f"{STICKY}=")), "")
        )
        target = self.pick(arn) if arn else None
        if target is None:
            await self._own(client, 503, "no targets", asked)
            return
        cookie = [(b"set-cookie", f"{STICKY}={ticket(target.group.arn)}; Path=/".encode())] if rule.sticky else []
        await self._forward(client, request, target, cookie, asked)

    async def _forward(
        self, client: Peer, request: h11.Request, target: Target, cookie: list[tuple[bytes, bytes]], asked: str
    ) -> None:
        peer, begun = None, False
        target.outstanding += 1
        try:
            peer = await target.take()
            target.busy.add(peer)
            await self._send(client, request, peer)
            while not isinstance(event := await peer.next(), h11.EndOfMessage):
                if isinstance(event, h11.ConnectionClosed):
                    raise ConnectionResetError("the target closed the connection")
                if isinstance(event, h11.Response):
                    begun = True
                    event = h11.Response(
                        status_code=event.status_code, headers=[*_kept(event.headers), *cookie], reason=event.reason
                    )
                if not isinstance(event, h11.InformationalResponse):
                    await client.send(event)
            await client.send(event)
        except (OSError, TimeoutError, h11.RemoteProtocolError) as error:
            what = f"{target.address} ({target.state}), {asked}: {error!r}"
            if begun or client.writer.is_closing():
                say(own=f"an answer ended early: {what}")
                client.close()
            else:
                await self._own(client, 504 if isinstance(error, TimeoutError) else 502, what, asked)
        finally:
            target.outstanding -= 1
            if peer is not None:
                target.busy.discard(peer)
                self._keep(target, peer)

    async def _send(self, client: Peer, request: h11.Request, peer: Peer) -> None:
        """The request with its body, as it comes."""
        source = client.writer.get_extra_info("peername")[0].encode()
        headers = [*_kept(request.headers), (b"X-Forwarded-For", source), (b"X-Forwarded-Proto", b"https")]
        await peer.send(h11.Request(method=request.method, target=request.target, headers=headers))
        while not isinstance(event := await client.next(), h11.EndOfMessage):
            await peer.send(event)
        await peer.send(event)

    def _keep(self, target: Target, peer: Peer) -> None:
        if peer.http.our_state is h11.DONE and peer.http.their_state is h11.DONE and target.draining_since is None:
            peer.http.start_next_cycle()
            target.idle.append(peer)
        else:
            peer.close()

    async def _own(self, client: Peer, status: int, why: str, path: str) -> None:
        """An answer of the load balancer itself; the connection ends with it, because the request's body may be unread."""
        say(own=f"{status} to {path}: {why}")
        body = why.encode()
        headers = [
            ("Content-Type", "text/html"),
            ("Content-Length", str(len(body))),
            ("Connection", "close"),
            ("Server", "awselb/2.0"),
        ]
        await client.send(h11.Response(status_code=status, headers=headers))
        await client.send(h11.Data(data=body))
        await client.send(h11.EndOfMessage())


def _kept(headers: Any) -> list[tuple[bytes, bytes]]:
    return [(name, value) for name, value in headers if name.lower() not in _HOP]


def say(**row: Any) -> None:
    print(json.dumps({"at": round(time.time(), 3), **row}), flush=True)


async def main(address: str, port: int, listener: str) -> None:
    balancer = Balancer(listener)
    server = await asyncio.start_server(balancer.serve, address, port)
    say(ready=True)
    async with server:
        await asyncio.gather(server.serve_forever(), balancer.follow())


if __name__ == "__main__":
    with suppress(KeyboardInterrupt):
        asyncio.run(main(sys.argv[1], int(sys.argv[2]), sys.argv[3]))
