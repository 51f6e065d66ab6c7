"""The cross-encoder is optional: opened when it is first needed, once, and its absence is said once and costs no answer."""

from __future__ import annotations

import errno
import logging
import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from app.errors import ModelUnavailable
from app.models.cross_encoder import LazyCrossEncoder, OnnxCrossEncoder, open_cross_encoder
from app.models.registry import CROSS_ENCODER
from app.settings import Settings

HERE = ((1, 1, 1), (2, 1, 1))


class Model:
    """A stand-in that counts how often it was opened."""

    digest = "d"

    def __init__(self) -> None:
        self.opened = 0

    def open(self) -> Model:
        self.opened += 1
        return self

    def relevance(self, question: str, texts: Sequence[str]) -> list[float]:
        return [float(len(question) + len(text)) for text in texts]


def test_it_is_opened_at_the_first_call_and_once() -> None:
    model = Model()
    lazy = LazyCrossEncoder("d", files=lambda: HERE, open_model=model.open)
    assert model.opened == 0
    assert lazy.relevance("q", ["a", "bb"]) == [2.0, 3.0]
    assert lazy.relevance("q", []) == []
    assert model.opened == 1


def test_callers_that_come_at_the_same_time_open_it_once() -> None:
    model, callers = Model(), 8
    together = threading.Barrier(callers)
    lazy = LazyCrossEncoder("d", files=lambda: HERE, open_model=model.open)

    def call(number: int) -> list[float]:
        together.wait()
        return lazy.relevance("q" * number, ["a"])

    with ThreadPoolExecutor(callers) as pool:
        assert list(pool.map(call, range(callers))) == [[1.0 + number] for number in range(callers)]
    assert model.opened == 1


def test_missing_files_are_said_once_and_used_once_they_are_here(caplog: pytest.LogCaptureFixture) -> None:
    model, here = Model(), False
    lazy = LazyCrossEncoder("d", files=lambda: HERE if here else None, open_model=model.open)
    with caplog.at_level(logging.WARNING):
        for _ in range(3):
            with pytest.raises(ModelUnavailable, match="missing"):
                lazy.relevance("q", ["a"])
    assert [record.levelname for record in caplog.records] == ["WARNING"]
    assert "teal up" in caplog.records[0].getMessage()
    here = True
    assert lazy.relevance("q", ["a"]) == [2.0]


@pytest.mark.parametrize(
    "error", [ModelUnavailable("has SHA-256 x, not y"), OSError("no right to read it"), RuntimeError("bad graph")]
)
def test_files_that_cannot_be_opened_are_said_once_and_not_read_again(error: Exception, caplog: pytest.LogCaptureFixture) -> None:
    tries = []

    def refuse() -> Model:
        tries.append(1)
        raise error

    lazy = LazyCrossEncoder("d", files=lambda: HERE, open_model=refuse)
    with caplog.at_level(logging.WARNING):
        for _ in range(3):
            with pytest.raises(ModelUnavailable, match="cannot be opened"):
                lazy.relevance("q", ["a"])
    assert len(tries) == len(caplog.records) == 1
    assert "TEAL_CROSS_ENCODER=none" in caplog.records[0].getMessage()


def test_files_in_the_place_of_damaged_ones_are_tried() -> None:
    found, tries = HERE, []

    def open_model() -> Model:
        tries.append(1)
        if found == HERE:
            raise ModelUnavailable("damaged")
        return Model()

    lazy = LazyCrossEncoder("d", files=lambda: found, open_model=open_model)
    for _ in range(2):
        with pytest.raises(ModelUnavailable, match="damaged"):
            lazy.relevance("q", ["a"])
    found = ((3, 2, 1), (4, 2, 1))
    assert lazy.relevance("q", ["a"]) == [2.0]
    assert len(tries) == 2


@pytest.mark.parametrize("error", [MemoryError(), OSError(errno.EMFILE, "Too many open files"), RuntimeError("no thread")])
def test_whole_files_that_could_not_be_opened_are_tried_again_after_a_minute(error: Exception) -> None:
    seconds, errors, tries = 1_000.0, [error], []

    def open_model() -> Model:
        tries.append(1)
        if errors:
            raise errors.pop()
        return Model()

    lazy = LazyCrossEncoder("d", files=lambda: HERE, open_model=open_model, clock=lambda: seconds)
    for passed in (0.0, 59.0):
        seconds = 1_000.0 + passed
        with pytest.raises(ModelUnavailable, match="cannot be opened"):
            lazy.relevance("q", ["a"])
    assert len(tries) == 1, "each try reads both files"
    seconds = 1_060.0
    assert lazy.relevance("q", ["a"]) == [2.0]


def test_damaged_files_are_not_read_again_however_long_they_lie_there() -> None:
    seconds, tries = 1_000.0, []

    def open_model() -> Model:
        tries.append(1)
        raise ModelUnavailable("has SHA-256 x, not y")

    lazy = LazyCrossEncoder("d", files=lambda: HERE, open_model=open_model, clock=lambda: seconds)
    for seconds in (1_000.0, 1_061.0, 1e9):  # noqa: B007 - the clock reads it
        with pytest.raises(ModelUnavailable, match="SHA-256"):
            lazy.relevance("q", ["a"])
    assert len(tries) == 1


def test_an_error_of_the_model_itself_is_a_model_that_is_unavailable_and_is_said_once(caplog: pytest.LogCaptureFixture) -> None:
    class Failing(Model):
        def relevance(self, question: str, texts: Sequence[str]) -> list[float]:
            if question == "bad":
                raise RuntimeError("[ONNXRuntimeError] : 6 : RUNTIME_EXCEPTION")
            return super().relevance(question, texts)

    lazy = LazyCrossEncoder("d", files=lambda: HERE, open_model=Failing)
    with caplog.at_level(logging.WARNING):
        for _ in range(3):
            with pytest.raises(ModelUnavailable, match="failed on a question: RuntimeError"):
                lazy.relevance("bad", ["a"])
    assert len(caplog.records) == 1
    assert lazy.relevance("q", ["a"]) == [2.0]


def test_a_file_that_is_not_the_pinned_one_is_refused(tmp_path: Path) -> None:
    for name in ("model.onnx", "tokenizer.json"):
        (tmp_path / name).write_bytes(b"other")
    with pytest.raises(ModelUnavailable, match=r"model\.onnx has SHA-256 .* `teal up`"):
        OnnxCrossEncoder(CROSS_ENCODER, tmp_path, threads=1)


@pytest.mark.parametrize(
    "given",
    [
        {"cross_encoder": "none"},
        {"embedding": "none"},
        {"embedding": "bedrock"},
        {"generation": "openai"},
        {"generation": "bedrock"},
    ],
    ids=str,
)
def test_it_is_off_where_a_model_writes_or_no_model_is_kept_on_this_machine(given: dict[str, Any], tmp_path: Path) -> None:
    assert open_cross_encoder(Settings(model_dir=tmp_path, **given)) is None


def test_it_is_on_by_default_and_known_by_its_digest_before_its_files_are_here(tmp_path: Path) -> None:
    found = open_cross_encoder(Settings(model_dir=tmp_path))
    assert found is not None
    assert found.digest == CROSS_ENCODER.onnx_sha256
    with pytest.raises(ModelUnavailable):
        found.relevance("q", ["a"])
