"""What a JSON body would cost is known before it is parsed."""

from __future__ import annotations

import contextlib
import json
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.errors import InvalidRequest, RateLimited
from app.http.fast_path import role_rules
from app.http.json_body import MAX_VALUES, BodyMemory, check_values
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
    room = BodyMemory()
    with room.keep(LARGEST_BYTES), room.keep(LARGEST_BYTES), room.keep(LARGEST_BYTES):
        with pytest.raises(RateLimited), room.keep(LARGEST_BYTES):
            raise AssertionError("there is no room for a fourth")
        with room.keep(200_000):
            pass
    with room.keep(10 * LARGEST_BYTES):  # alone it is always let in, however large documents may be
        pass


def test_every_route_that_takes_a_body_says_its_role_before_it_is_read() -> None:
    paths = {rule.path.pattern for rule in role_rules(ROUTERS)}
    open_paths = {
        route.path  # type: ignore[attr-defined]
        for router in ROUTERS
        for route in router.routes
        if getattr(route, "methods", set()) & {"POST", "PUT", "PATCH"} and route.path_regex.pattern not in paths  # type: ignore[attr-defined]
    }
    assert open_paths == {"/v1/session"}  # the key is in its body, and the address is limited
