"""An evaluation costs little, and leaves the process as it was."""

from __future__ import annotations

import gc

import pytest

from infra.evaluation.evaluate import evaluate_program, without_collector


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


def test_a_collector_that_was_off_stays_off() -> None:
    gc.disable()
    try:
        with without_collector():
            pass
        assert not gc.isenabled()
    finally:
        gc.enable()
