"""What a JSON body would cost is known before it is parsed, and it arrives in time."""

from __future__ import annotations

import asyncio
import contextlib
import json
import time
from collections import deque

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from starlette.requests import ClientDisconnect
from starlette.types import Message, Receive

from app.errors import InvalidRequest, RateLimited
from app.http.fast_path import role_rules
from app.http.json_body import MAX_VALUES, BodyMemory, BodyReader, check_values
from app.main import ROUTERS

LARGEST_BYTES = 20_000_000
SOME_BYTES = 2_000_000
values = st.recursive(
    st.none() | st.integers() | st.text(max_size=20), lambda inner: st.lists(inner) | st.dictionaries(st.text(max_size=5), inner)
)


@pytest.mark.parametrize(
    "part", [b"[],", b"{},", b"1,", b'"",', b'{"a":', b"[", b'"a\\"b",', b'"\\\\",'], ids=lambda part: part.decode()
)
def test_a_body_of_many_values_is_refused_unparsed(part: bytes) -> None:
    with pytest.raises(InvalidRequest):
        check_values(b"[" + part * (SOME_BYTES // len(part)))


@settings(max_examples=30, deadline=None)  # each reads 20 kB, and a busy machine may take long for one
@given(values)
def test_a_body_of_few_values_passes_whatever_its_texts_hold(value: object) -> None:
    check_values(json.dumps({"text": "[{,\\" * 5_000, "value": value}).encode())


@pytest.mark.parametrize("part", [b"a", b",[{", b'\\"', b"\\\\", b"\\", b" ", b"\xff"])
@pytest.mark.parametrize(("before", "after"), [(b'{"text":"', b'"}'), (b'{"text":"', b""), (b"", b"")])
def test_two_megabytes_are_looked_through_in_a_moment(before: bytes, part: bytes, after: bytes) -> None:
    began = time.process_time()
    with contextlib.suppress(InvalidRequest):
        check_values(before + part * (SOME_BYTES // len(part)) + after)
    assert time.process_time() - began < 0.2


def test_as_many_values_as_a_request_may_have_pass_and_one_more_does_not() -> None:
    check_values(json.dumps([0] * MAX_VALUES).encode())
    with pytest.raises(InvalidRequest):
        check_values(json.dumps([0] * (MAX_VALUES + 1)).encode())


def test_large_bodies_share_a_room_that_questions_never_wait_for() -> None:
    memory = BodyMemory()
    reserved = [memory.reserve(LARGEST_BYTES) for _ in range(3)]
    with pytest.raises(RateLimited):  # there is no room for a fourth
        memory.reserve(LARGEST_BYTES)
    assert memory.reserve(200_000) == 0
    for one in reserved:
        memory.release(one)
    assert memory.reserve(10 * LARGEST_BYTES)  # alone it is always let in, however large documents may be


def messages(*parts: bytes) -> Receive:
    """A `receive` that gives a body in these parts and then nothing more: the client waits."""
    left = deque({"type": "http.request", "body": part, "more_body": number < len(parts)} for number, part in enumerate(parts, 1))

    async def receive() -> Message:
        if not left:
            await asyncio.Event().wait()
        return left.popleft()

    return receive


@pytest.mark.anyio
async def test_a_body_in_parts_is_read_whole() -> None:
    assert await BodyReader().read(messages(b'{"query":', b' "pump"}')) == b'{"query": "pump"}'


@pytest.mark.anyio
async def test_a_body_that_does_not_arrive_in_time_is_refused_and_others_are_not() -> None:
    bodies = BodyReader(arrival_seconds=0.0)
    assert await bodies.read(messages(b"{}")) == b"{}"
    for _ in range(2):  # the second one has a timer of its own again
        with pytest.raises(InvalidRequest, match="did not arrive"):
            await bodies.read(messages())
    assert asyncio.current_task().cancelling() == 0  # type: ignore[union-attr]


@pytest.mark.anyio
async def test_each_late_body_is_refused_when_several_wait() -> None:
    bodies = BodyReader(arrival_seconds=0.0)
    refused = await asyncio.gather(*(bodies.read(messages()) for _ in range(3)), return_exceptions=True)
    assert [type(one) for one in refused] == [InvalidRequest] * 3


@pytest.mark.anyio
async def test_a_request_that_is_cancelled_while_its_body_arrives_stays_cancelled() -> None:
    reading = asyncio.ensure_future(BodyReader().read(messages()))
    await asyncio.sleep(0)
    reading.cancel()
    with pytest.raises(asyncio.CancelledError):
        await reading


@pytest.mark.anyio
async def test_a_client_that_leaves_before_its_body_is_whole_is_noticed() -> None:
    async def receive() -> Message:
        return {"type": "http.disconnect"}

    with pytest.raises(ClientDisconnect):
        await BodyReader().read(receive)


def test_every_route_that_takes_a_body_says_its_role_before_it_is_read() -> None:
    paths = {rule.path.pattern for rule in role_rules(ROUTERS)}
    open_paths = {
        route.path  # type: ignore[attr-defined]
        for router in ROUTERS
        for route in router.routes
        if getattr(route, "methods", set()) & {"POST", "PUT", "PATCH"} and route.path_regex.pattern not in paths  # type: ignore[attr-defined]
    }
    assert open_paths == {"/v1/session"}  # the key is in its body, and the address is limited
