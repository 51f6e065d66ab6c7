from __future__ import annotations

import pytest

from teal import errors
from teal.errors import (
    AdminFailed,
    BadInput,
    FetchFailed,
    HeldByAnother,
    NeedsHuman,
    OperatorError,
    PartFailed,
    ServiceRefused,
    StackDown,
    Unreachable,
)

ALL = [
    (OperatorError("w", where="x", next="teal up"), 1),
    (BadInput("w", where="x", next="teal up"), 2),
    (HeldByAnother("w", where="x", next="teal up"), 3),
    (NeedsHuman("w", where="x", next="teal up"), 4),
    (StackDown("x"), 1),
    (PartFailed("caddy", "r", log="x"), 1),
    (FetchFailed("x", "r"), 1),
    (Unreachable("x", "r"), 1),
    (AdminFailed("x", code="c", detail="d", action="teal up", bad_input=True), 2),
    (AdminFailed("x", code="c", detail="d", action="teal up", bad_input=False), 1),
]


@pytest.mark.parametrize(("error", "code"), ALL)
def test_every_error_says_what_where_and_the_next_command(error: OperatorError, code: int) -> None:
    assert error.exit_code == code
    assert "x" in error.where
    assert "teal" in error.next
    for part in (error.what, error.where, error.next):
        assert part in str(error)
        assert part in error.fields().values()


@pytest.mark.parametrize(
    ("status", "code"), [(401, errors.BAD_INPUT), (413, errors.BAD_INPUT), (429, errors.FAILED), (503, errors.FAILED)]
)
def test_a_refusal_is_bad_input_only_when_sending_it_again_cannot_help(status: int, code: int) -> None:
    found = ServiceRefused("GET /x", status=status, code="c", title="T", detail="D", action="A", request_id="r1")
    assert found.exit_code == code
    assert "r1" in str(found)
