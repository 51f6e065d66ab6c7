"""A part is one object: what registers one shows up wherever the stack's parts are told."""

from __future__ import annotations

import configparser
from collections.abc import Collection
from pathlib import Path

import pytest

from teal.laptop import plan
from teal.laptop.layout import Layout
from teal.laptop.parts import registry
from teal.laptop.parts.part import CheckRow, Part, PartContext
from teal.laptop.program import Program
from teal.laptop.state import UpOptions, choose_state
from teal.record.model import Record


class Toy(Part):
    """All that a new part says of itself."""

    name = "toy"
    ports = ("toy", "toy_inner")

    def programs(self, place: PartContext) -> tuple[Program, ...]:
        return (Program("toy", ("/bin/toy", "--port", str(place.state.ports.of("toy")))),)

    def health(self, place: PartContext, program: str) -> tuple[bool, str]:
        return False, "the toy is broken"

    def status(self, place: PartContext, known: Collection[str]) -> list[CheckRow]:
        return [CheckRow("toys", True, f"known: {'toy' in known}")]

    def doctor(self, place: PartContext) -> list[CheckRow]:
        return [CheckRow("toy", False, "no toy on this machine", "buy one")]


@pytest.fixture
def layout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Layout:
    monkeypatch.setattr(registry, "PARTS", (*registry.PARTS, Toy()))
    found = Layout(tmp_path / ".teal")
    for folder in (found.home, found.keys, found.data):
        folder.mkdir()
    return found


def test_a_registered_part_gets_its_ports_and_keeps_them(layout: Layout) -> None:
    first = choose_state(None, UpOptions(), registry.port_names())
    ports = {first.ports.of("toy"), first.ports.of("toy_inner"), first.ports.of("redis")}
    assert len(ports) == 3
    assert choose_state(first, UpOptions(), registry.port_names()) == first


def test_a_registered_part_is_in_supervisords_configuration_and_has_its_file(layout: Layout) -> None:
    state = choose_state(None, UpOptions(), registry.port_names())
    found = plan.plan(PartContext(layout, state, {}, {"caddy": "/bin/caddy"}.get), Record())
    text = found.files[layout.conf / "supervisord.conf"]
    parser = configparser.ConfigParser(interpolation=None)
    parser.read_string(text)
    assert "program:toy" in parser.sections()
    assert str(state.ports.of("toy")) in found.files[layout.conf / "parts" / "toy.json"]
