"""Embedders: pinned files, unit vectors, the provider's documented bodies, and failures that say what to do."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from app.models.embed_local import LocalEmbedder
from app.models.registry import LOCAL_MODELS, local_model
from tests.services.required import require


def model_dir() -> Path:
    return Path(os.environ.get("TEAL_MODEL_DIR", ".teal/models"))


@pytest.fixture(scope="module", params=sorted(LOCAL_MODELS))
def local(request: pytest.FixtureRequest) -> LocalEmbedder:
    model = local_model(request.param)
    folder = model_dir() / model.name
    require(f"the model {model.name}", "Run `teal up`, or set TEAL_MODEL_DIR.", (folder / "model.onnx").is_file())
    return LocalEmbedder(model, folder, threads=1)


@pytest.mark.integration
def test_a_real_model_puts_a_question_nearest_its_answer(local: LocalEmbedder) -> None:
    texts = [
        "The moon's gravity raises the ocean tides.",
        "Bread rises because yeast makes gas.",
        "Compilers turn source code into machine code.",
    ]
    question = local.query("What causes tides in the sea?")
    cosines = [float(question @ vector) for vector in local.passages(texts)]
    assert max(cosines) == cosines[0] > cosines[1] + 0.1
    assert question.dtype == np.float32
    assert float(np.linalg.norm(question)) == pytest.approx(1.0, abs=1e-5)
    assert question.size == local.stamp.dimensions


@pytest.mark.integration
def test_a_vector_does_not_depend_on_its_neighbours_or_on_threads(local: LocalEmbedder) -> None:
    texts = [f"Sentence {number} about tides, moons and harbours." * (number % 5 + 1) for number in range(24)]
    together = local.passages(texts)
    with ThreadPoolExecutor(4) as pool_of_threads:
        alone = list(pool_of_threads.map(lambda text: local.passages([text])[0], texts))
    assert all(np.array_equal(one, other) for one, other in zip(together, alone, strict=True))


@pytest.mark.integration
@pytest.mark.parametrize(
    "text", ["", "\0", "\ud800", "🌊" * 2_000, "word " * 10_000], ids=["empty", "nul", "surrogate", "emoji", "long"]
)
def test_any_text_gets_a_unit_vector(local: LocalEmbedder, text: str) -> None:
    assert float(np.linalg.norm(local.query(text))) == pytest.approx(1.0, abs=1e-5)
