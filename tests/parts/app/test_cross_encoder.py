"""The pinned cross-encoder itself: the numbers it was chosen by, and what a damaged file does."""

from __future__ import annotations

import math
import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from app.errors import ModelUnavailable
from app.models.cross_encoder import OnnxCrossEncoder, open_local
from app.models.registry import CROSS_ENCODER
from app.settings import Settings
from tests.parts.app.service import Service, add
from tests.parts.app.test_embed import model_dir
from tests.services.required import require

QUESTION = "How many people live in Berlin?"
POPULATION = "Berlin had a population of 3,520,031 registered inhabitants in an area of 891.82 square kilometers."
MUSEUMS = "Berlin is well known for its museums."
NEW_YORK = "New York City is famous for the Metropolitan Museum of Art."
TOLERANCE = 0.5  # other processors round 8-bit products in another way


@pytest.fixture(scope="module")
def folder() -> Path:
    found = model_dir() / CROSS_ENCODER.name
    require(
        f"the cross-encoder {CROSS_ENCODER.name}", "Run `make fetch`, or set TEAL_MODEL_DIR.", (found / "model.onnx").is_file()
    )
    return found


@pytest.fixture(scope="module")
def model(folder: Path) -> OnnxCrossEncoder:
    return OnnxCrossEncoder(CROSS_ENCODER, folder, threads=1)


@pytest.mark.integration
def test_the_numbers_are_those_that_it_was_chosen_by(model: OnnxCrossEncoder) -> None:
    assert model.relevance(QUESTION, [POPULATION, MUSEUMS, NEW_YORK]) == pytest.approx([9.20, -4.13, -11.19], abs=TOLERANCE)


@pytest.mark.integration
def test_a_number_does_not_depend_on_neighbours_or_on_threads(model: OnnxCrossEncoder) -> None:
    texts = [f"Sentence {number} about museums, islands and people in Berlin. " * (number % 5 + 1) for number in range(16)]
    together = model.relevance(QUESTION, texts)
    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(lambda text: model.relevance(QUESTION, [text])[0], texts)) == together


@pytest.mark.integration
@pytest.mark.parametrize(
    "text", ["", "\0", "\ud800", "🌊" * 2_000, "word " * 10_000], ids=["empty", "nul", "surrogate", "emoji", "long"]
)
def test_any_question_and_any_text_get_a_number(model: OnnxCrossEncoder, text: str) -> None:
    assert all(math.isfinite(number) for question in (QUESTION, text) for number in model.relevance(question, [POPULATION, text]))


@pytest.mark.integration
@pytest.mark.parametrize("name", ["model.onnx", "tokenizer.json"])
def test_a_damaged_file_makes_it_unavailable_until_it_is_exchanged(folder: Path, tmp_path: Path, name: str) -> None:
    damaged = tmp_path / CROSS_ENCODER.name
    shutil.copytree(folder, damaged)
    (damaged / name).write_bytes((damaged / name).read_bytes()[:1000])
    model = open_local(Settings(model_dir=tmp_path))
    with pytest.raises(ModelUnavailable, match=r"cannot be opened.*SHA-256"):
        model.relevance(QUESTION, [POPULATION])
    shutil.copy2(folder / name, damaged / name)
    assert model.relevance(QUESTION, [POPULATION])[0] > 0


@pytest.mark.integration
def test_a_service_with_a_damaged_one_answers_and_says_so_once(folder: Path, tmp_path: Path) -> None:
    models = tmp_path / "models"
    shutil.copytree(folder.parent, models)
    (models / CROSS_ENCODER.name / "model.onnx").write_bytes(b"cut off")
    service = Service(tmp_path, {"TEAL_MODEL_DIR": str(models)})
    try:
        service.start()
        with service.client("admin") as client:
            add(client, "House rules", "Visitors leave vehicles in the yard behind building C. The canteen opens at noon.")
            for question, grounded in (("Where can guests park?", False), ("Where can guests park their car?", False),
                                       ("When does the canteen open?", True)):  # fmt: skip
                answer = client.post("/v1/ask", json={"question": question})
                assert (answer.status_code, answer.json()["grounded"]) == (200, grounded)
            again = client.post("/v1/ask", json={"question": "Where can guests park?"})
            assert again.headers["X-Cache"] == "miss"  # kept, it would outlive the fault
            assert client.get("/readyz").json()["status"] == "ready"
        assert (tmp_path / "app-0.log").read_text().count("answering without the cross-encoder") == 1
    finally:
        service.stop()
