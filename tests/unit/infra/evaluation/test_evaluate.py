"""An evaluation costs little, and leaves the process as it was."""

from __future__ import annotations

import gc

import pytest

from infra.evaluation.evaluate import ROOT, evaluate_program, without_collector


def test_the_collector_rests_during_an_evaluation_and_runs_again_after_it() -> None:
    assert gc.isenabled()
    with without_collector():
        assert not gc.isenabled()
    assert gc.isenabled()


def test_the_collector_runs_again_after_a_program_that_fails(tmp_path_factory: pytest.TempPathFactory) -> None:
    program = tmp_path_factory.mktemp("program") / "__main__.py"
    program.write_text("import gc\nassert gc.isenabled(), 'off, as it should be'\n")
    with pytest.raises(AssertionError, match="off, as it should be"):
        evaluate_program("teal", program, "dev", {})
    assert gc.isenabled()


@pytest.mark.parametrize("program", ["infra/__main__.py", "infra/service/__main__.py"])
def test_a_program_calms_the_collector_before_it_reads_the_sdk(program: str) -> None:
    """Pulumi runs it in a process of its own, which nobody else calms."""
    lines = [
        line for line in (ROOT / program).read_text(encoding="utf-8").splitlines() if line.startswith(("import ", "from ", "gc."))
    ]
    assert lines[:3] == ["from __future__ import annotations", "import gc", "gc.set_threshold(100_000, 50, 50)"]


def test_an_evaluation_leaves_the_collector_s_threshold_as_it_was() -> None:
    before = gc.get_threshold()
    with without_collector():
        gc.set_threshold(7)
    assert gc.get_threshold() == before


def test_a_collector_that_was_off_stays_off() -> None:
    gc.disable()
    try:
        with without_collector():
            pass
        assert not gc.isenabled()
    finally:
        gc.enable()
