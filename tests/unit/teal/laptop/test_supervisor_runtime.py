"""How a color's processes are started on a laptop. With real processes: tests/contract/test_runtime_contract.py."""

from __future__ import annotations

from pathlib import Path

import pytest

from teal.laptop import runtime
from teal.laptop.configuration import color_programs
from teal.laptop.layout import Layout
from teal.laptop.parts.part import PartContext
from teal.laptop.state import LaptopState, Ports
from teal.laptop.supervisor import SupervisedProcess
from teal.record.model import ColorState

PORTS = Ports(public=1, blue=(2, 3), green=(4, 5), redis=6, elasticsearch=7, elasticsearch_transport=8)
STATE = ColorState(release_id="r", image="i", index="teal", schema_min="0001", schema_max="0001", replica_floor=2)


@pytest.mark.parametrize("state", ["RUNNING", "BACKOFF"])
def test_the_next_process_starts_when_the_one_before_answers_or_has_ended(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, state: str
) -> None:
    layout, stack = Layout(tmp_path / ".teal"), LaptopState(ports=PORTS)
    (layout.conf / "parts").mkdir(parents=True)
    happened: list[str] = []

    def start(_: Layout, name: str) -> bool:
        happened.append(name)
        return True

    def answers(url: str) -> tuple[bool, str]:
        happened.append(url.split(":")[2].split("/")[0])
        return happened.count(happened[-1]) == 2, ""  # at the second look

    monkeypatch.setattr(runtime, "load_state", lambda _: stack)
    monkeypatch.setattr(runtime, "programs_of", lambda *_: color_programs(PartContext(layout, stack, {}), "green", {}, "python"))
    monkeypatch.setattr(runtime, "POLL_SECONDS", 0.0)
    monkeypatch.setattr(runtime.health, "http_ok", answers)
    monkeypatch.setattr(runtime.supervisor, "start_part", start)
    names = [program.name for program in color_programs(PartContext(layout, stack, {}), "green", {}, "python")]
    monkeypatch.setattr(runtime.supervisor, "processes", lambda _: {name: SupervisedProcess(name, state if happened else "STOPPED", 0, "") for name in names})  # fmt: skip

    for _ in runtime.SupervisorRuntime(layout).deploy("green", STATE):
        pass
    looks = (["4", "4"], ["5", "5"]) if state == "RUNNING" else ([], [])
    assert happened == ["green-app-0", *looks[0], "green-app-1", *looks[1], "green-worker"]
