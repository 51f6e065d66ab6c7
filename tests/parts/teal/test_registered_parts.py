"""A part is one object: what registers one shows up wherever the stack's parts are told."""

from __future__ import annotations

import pytest

from teal.laptop import doctor, status, supervisor
from teal.laptop.layout import Layout
from teal.laptop.parts import redis, registry
from teal.laptop.program import Program, file_of, program_json
from teal.laptop.state import UpOptions, choose_state, save_state
from teal.laptop.supervisor import SupervisedProcess
from tests.unit.teal.laptop import test_parts

layout = test_parts.layout


def test_a_registered_part_is_in_status_with_its_own_health_and_lines(layout: Layout, monkeypatch: pytest.MonkeyPatch) -> None:
    save_state(layout, choose_state(None, UpOptions(), registry.port_names()))
    file = file_of(layout, "toy")  # as `teal up` leaves it
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(program_json(Program("toy", ("/bin/toy",)), layout))
    monkeypatch.setattr(supervisor, "processes", lambda _: {"toy": SupervisedProcess("toy", "RUNNING", 7, "")})
    monkeypatch.setattr(redis, "probe_redis", lambda _: (True, "PONG"))
    found = {row.part: row for row in status.status(layout, {"TEAL_EMBEDDING": "none"}).rows}
    assert (found["toy"].ok, found["toy"].detail) == (False, "the toy is broken (pid 7)")
    assert found["toys"].detail == "known: True"


def test_a_registered_part_is_in_doctor(layout: Layout) -> None:
    found = [row for row in doctor.check_laptop(layout, {}) if row.part == "toy"]
    assert [(row.ok, row.mend) for row in found] == [(False, "buy one")]
