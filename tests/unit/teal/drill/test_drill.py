"""Drills: what is measured, what is past a target, what is undone whatever happens. Without a stack."""

from __future__ import annotations

import json
import os
import signal
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest
from typer.testing import CliRunner

from teal import runbook
from teal.cli import app, run
from teal.drill import faults, file_faults, report
from teal.drill.catalogue import DRILLS, select_drills
from teal.drill.measure import DrillLimits, DrillResult, answered_again, exceeded_limits, reached_back, read_limits
from teal.drill.scene import DrillFailed, Scene
from teal.drill.users import UserRequest
from teal.errors import BadInput, OperatorError
from teal.laptop.layout import Layout, create_folders
from teal.laptop.state import LaptopState, Ports, save_state

FAULT = 100.0
TARGET = DrillLimits(answered_seconds=5, whole_seconds=10, failed_requests=3)
FOUND = DrillResult(
    drill="worker", fault="kill -9", runbook="worker-gone", began="2026-01-02T03:04:05+00:00", verdict="within",
    answered_seconds=1.0, whole_seconds=2.0, documents=4, requests=90, per_second=20.0,
)  # fmt: skip


def _requests(*rows: tuple[float, float, bool]) -> list[UserRequest]:
    return [UserRequest(at, seconds, "search", good) for at, seconds, good in rows]


@pytest.mark.parametrize(
    ("rows", "seconds"),
    [
        ([(99, 0.1, True), (101, 0.1, True)], 0.0),
        ([(98, 0.1, False), (101, 0.1, True)], 0.0),  # over before the fault
        ([(99.9, 0.5, False), (101, 0.25, True)], 1.25),  # under way when it came
        ([(101, 0.1, False), (102, 0.1, True), (103, 1, False), (104, 0.5, True), (105, 0.1, True)], 4.5),  # it came back, not for good
        ([(101, 20, False), (102, 0.1, True)], 2.1),  # sent before, given up long after: later ones were answered
        ([(101, 0.1, True), (102, 0.1, False)], None),
        ([], 0.0),
    ],
)  # fmt: skip
def test_users_are_answered_again_when_nothing_fails_after(rows: list[tuple[float, float, bool]], seconds: float | None) -> None:
    found = answered_again(_requests(*rows), FAULT)
    assert found == (pytest.approx(seconds) if seconds is not None else None)


def test_what_is_lost_reaches_back_to_the_oldest_missing_acknowledgement() -> None:
    requests = [UserRequest(at, 1.0, "document", True, f"d{at:.0f}") for at in (80.0, 90.0, 98.0, 120.0)]
    assert reached_back(requests, {"d90", "d98"}, FAULT) == pytest.approx(9.0)
    assert reached_back(requests, {"d120"}, FAULT) == 0.0  # acknowledged after the fault and lost all the same: counted as lost
    assert reached_back(requests, set(), FAULT) == 0.0


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({}, ()),
        ({"answered_seconds": 5.01}, ("answered again after 5.0 s, target 5 s",)),
        ({"answered_seconds": None}, ("never answered again",)),
        ({"whole_seconds": None}, ("never whole again",)),
        ({"lost_documents": 1}, ("1 acknowledged documents are missing, target 0",)),
        ({"rpo_seconds": 0.5}, ("what is missing reaches back 0.5 s, target 0 s",)),
        ({"failed_requests": 4, "whole_seconds": 11.0}, ("whole again after 11.0 s, target 10 s", "4 requests failed, target 3")),
    ],
)
def test_everything_past_the_target_is_said(change: dict[str, object], said: tuple[str, ...]) -> None:
    assert exceeded_limits(replace(FOUND, **change), TARGET) == said  # type: ignore[arg-type]


def test_a_target_may_allow_what_was_acknowledged_after_a_snapshot() -> None:
    target = DrillLimits(answered_seconds=5, whole_seconds=10, lost_documents=None, rpo_seconds=30)
    assert exceeded_limits(replace(FOUND, lost_documents=7, rpo_seconds=29.0), target) == ()
    assert exceeded_limits(replace(FOUND, lost_documents=7, rpo_seconds=31.0), target) != ()


@pytest.mark.parametrize("text", ["worker: {answered_seconds: 1}", "worker: {answered_seconds: 1, whole_seconds: 2, typo: 3}", "worker: [", "- 1"])  # fmt: skip
def test_targets_that_are_none_are_refused(text: str, tmp_path: Path) -> None:
    (tmp_path / "targets.yaml").write_text(text)
    with pytest.raises(BadInput):
        read_limits(tmp_path / "targets.yaml")


def test_every_drill_has_a_target_and_a_page_with_its_blocks_and_no_target_is_left_over() -> None:
    assert {drill.name for drill in DRILLS} == read_limits(runbook.runbooks_folder() / "targets.yaml").keys()
    for drill in DRILLS:
        book = runbook.read_runbook(drill.runbook)
        sections = [book.blocks[name].section for name in drill.blocks]
        assert sections == sorted(sections, key=runbook.SECTIONS.index), f"{drill.name} runs {drill.runbook}.md in another order"
        assert {sections[0], sections[-1]} == {"Diagnosis", "Verification"}


def test_every_number_among_the_targets_has_its_reason_beside_it() -> None:
    for line in (runbook.runbooks_folder() / "targets.yaml").read_text().splitlines():
        if line.startswith("  "):
            assert "  # " in line, line


def test_the_table_goes_between_its_marks_and_nowhere_else(tmp_path: Path) -> None:
    page = tmp_path / "drills.md"
    page.write_text(f"before\n{report.BEGIN}\nold\n{report.END}\nafter\n")
    report.update(page, report.markdown([replace(FOUND, verdict="past", reasons=("a | b",))], {"worker": TARGET}, "a laptop"))
    text = page.read_text()
    assert text.startswith("before\n")
    assert text.endswith("\nafter\n")
    assert "old" not in text
    assert "2026-01-02, a laptop; users sent 20 requests a second." in text
    assert r"| 1.0 (5) | 2.0 (10) | 0 of 4 (0) | 0 of 90 (3) | 0.00 | past: a \| b |" in text
    with pytest.raises(BadInput, match="no place"):
        report.update(tmp_path / "none.md", "x")


def test_the_page_shows_what_users_met_and_escapes_what_was_said(tmp_path: Path) -> None:
    ran = runbook.BlockResult("start", 0, 1.5, "<script>alert(1)</script>")
    one = replace(FOUND, blocks=(ran,), failures=("<b>",), marks={"fault": 1.0}, timeline=((0.0, 0.1, True), (1.2, 3.0, False)))
    none = replace(FOUND, drill="disk-full", verdict="could not run", reasons=("no root",))
    path = report.write_report([one, none], {"worker": TARGET}, tmp_path / "out", "a laptop")
    text = path.read_text()
    assert "<script>" not in text
    assert "&lt;script&gt;" in text
    assert text.count("<svg") == 2
    assert "could not run: no root" in text
    kept = json.loads((path.parent / "results.json").read_text())
    assert kept["results"][0]["timeline"][1] == [1.2, 3.0, False]
    assert kept["targets"]["worker"]["whole_seconds"] == 10


def _exit(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, *results: DrillResult) -> int:
    monkeypatch.setattr("teal.drill.run.rehearse", lambda *_: iter(results))
    return run(["drill", "worker", "--json", "--output", str(tmp_path / "out")])


@pytest.mark.parametrize(
    ("verdicts", "code"), [(("within",), 0), (("within", "past"), 1), (("failed",), 1), (("within", "could not run"), 4), (("past", "could not run"), 1)]
)  # fmt: skip
def test_what_could_not_run_is_no_pass(
    verdicts: tuple[str, ...], code: int, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    found = [replace(FOUND, verdict=verdict) for verdict in verdicts]  # type: ignore[arg-type]
    assert _exit(monkeypatch, tmp_path, *found) == code


def test_the_running_stack_is_not_harmed_unasked(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    layout = Layout(tmp_path / ".teal")
    monkeypatch.setenv("TEAL_HOME", str(layout.home))
    with pytest.raises(OperatorError, match="not running"):
        CliRunner().invoke(app, ["drill", "worker", "--here"], catch_exceptions=False)
    create_folders(layout)
    save_state(
        layout,
        LaptopState(ports=Ports(public=1024, blue=(1, 2), green=(3, 4), redis=5, elasticsearch=6, elasticsearch_transport=7)),
    )
    monkeypatch.setattr("teal.laptop.supervisor.is_up", lambda _: True)
    with pytest.raises(BadInput, match="worker takes the service or data away"):
        CliRunner().invoke(app, ["drill", "worker", "--here"], catch_exceptions=False)


@pytest.mark.parametrize("arguments", [[], ["worker", "--all"], ["nothing"]])
def test_a_wish_that_is_none_is_bad_input(arguments: list[str]) -> None:
    assert run(["drill", *arguments, "--json"]) == 2


def test_drills_are_chosen_by_name_or_all_but_those_left_out() -> None:
    every = [drill.name for drill in DRILLS]
    assert [drill.name for drill in select_drills((), every=True, without=())] == every
    assert [drill.name for drill in select_drills((), every=True, without=("damaged-model",))] == [
        name for name in every if name != "damaged-model"
    ]
    assert [drill.name for drill in select_drills(("redis", "worker"), every=False, without=())] == ["worker", "redis"]


@pytest.mark.parametrize(
    ("names", "every", "without"),
    [((), False, ()), (("worker",), True, ()), (("worker",), False, ("redis",)), (("none",), False, ()), ((), True, ("none",))],
)
def test_a_choice_of_drills_that_says_nothing_or_two_things_is_refused(
    names: tuple[str, ...], every: bool, without: tuple[str, ...]
) -> None:
    with pytest.raises(BadInput):
        select_drills(names, every=every, without=without)


@pytest.mark.parametrize("fault", ["frozen", "model"])
def test_what_a_fault_did_is_undone_when_status_never_names_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fault: str
) -> None:
    sent: list[tuple[int, int]] = []
    stack = SimpleNamespace(
        layout=Layout(tmp_path),
        home=tmp_path,
        record=lambda: SimpleNamespace(active="blue"),
        kill=lambda part, number=signal.SIGKILL: {7},
        pids=lambda part: {7},
        healthy=lambda: False,
    )
    scene = SimpleNamespace(stack=stack, folder=tmp_path / "drill", strike=lambda: None, variables={})
    scene.folder.mkdir()
    model = tmp_path / "models" / "small" / "model.onnx"
    model.parent.mkdir(parents=True)
    model.write_bytes(b"whole model")
    monkeypatch.setattr(os, "kill", lambda pid, number: sent.append((pid, number)))
    monkeypatch.setattr("teal.drill.file_faults.model_of", lambda _: "small")
    monkeypatch.setattr("teal.laptop.fetch.has_model", lambda *_: model.read_bytes() == b"whole model")
    for module in ("faults", "file_faults"):
        monkeypatch.setattr(f"teal.drill.{module}.NAMED_SECONDS", 0.0)
        monkeypatch.setattr(f"teal.drill.{module}.names", lambda *_: False)
    cause = faults.frozen_process("{active}-worker") if fault == "frozen" else file_faults.damaged_model
    with pytest.raises(DrillFailed, match="to name"), cause(cast("Scene", scene)):
        raise AssertionError("it was never named, so nobody follows a page")
    assert sent == ([(7, signal.SIGCONT)] if fault == "frozen" else [])
    assert model.read_bytes() == b"whole model"
