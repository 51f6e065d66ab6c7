"""What an option is given is refused where it is read, with what is wrong with it."""

from __future__ import annotations

import argparse
from pathlib import Path

import pytest

from loadtests import checked, questions, thresholds


@pytest.mark.parametrize(("text", "value"), [("0.5", 0.5), ("20", 20.0)])
def test_a_number_above_0_is_taken(text: str, value: float) -> None:
    assert checked.positive(text) == checked.not_negative(text) == value


@pytest.mark.parametrize("text", ["0", "-4", "inf", "nan"])
def test_no_other_number_is_above_0(text: str) -> None:
    with pytest.raises(argparse.ArgumentTypeError, match="above 0"):
        checked.positive(text)


def test_0_may_mean_the_shape_s_own() -> None:
    assert (checked.not_negative("0"), checked.whole("0")) == (0.0, 0)
    with pytest.raises(argparse.ArgumentTypeError, match="0 or more, and is -1"):
        checked.whole("-1")


def test_json_is_kept_as_it_is_and_must_be_an_object() -> None:
    assert checked.json_object('{"a": "b"}') == '{"a": "b"}'
    for text in ("nojson", "[1]"):
        with pytest.raises(argparse.ArgumentTypeError, match="it is no JSON"):
            checked.json_object(text)


def test_a_file_is_read_at_once_and_no_file_is_no_file(tmp_path: Path) -> None:
    (tmp_path / "empty.jsonl").touch()
    assert checked.file_of(questions.load_questions)("") == ""
    assert checked.file_of(thresholds.read_rules)(str(thresholds.DEFAULT)) == str(thresholds.DEFAULT)
    for read, name, said in (
        (questions.load_questions, "empty.jsonl", "holds no question"),
        (thresholds.read_rules, "missing.yaml", "No such file"),
        (checked.read_result, "empty.jsonl", "is no result of a load test"),
        (checked.certificates, "missing.pem", "No such file"),
    ):
        with pytest.raises(argparse.ArgumentTypeError, match=said):
            checked.file_of(read)(str(tmp_path / name))
