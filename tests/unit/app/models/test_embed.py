"""Embedders: pinned files, unit vectors, the provider's documented bodies, and failures that say what to do."""

from __future__ import annotations

import hashlib
import io
import json
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import boto3
import numpy as np
import pytest
from botocore.response import StreamingBody
from botocore.stub import ANY, Stubber
from tokenizers import Tokenizer
from tokenizers.models import WordLevel

from app.errors import ModelUnavailable, PassageRefused
from app.models.bedrock import FAILURES_TO_OPEN
from app.models.embed import open_embedder, passage_text, stamp
from app.models.embed_bedrock import BedrockEmbedder
from app.models.embed_local import LocalEmbedder, pool
from app.models.port import NO_MODEL
from app.models.registry import LOCAL_MODELS
from app.settings import Settings

TITAN, COHERE = "amazon.titan-embed-text-v2:0", "cohere.embed-english-v3"


def settings(**given: Any) -> Settings:
    return Settings(**given)


def test_mean_and_first_token_pooling_give_unit_vectors() -> None:
    states = np.array([[3.0, 0.0], [0.0, 4.0], [3.0, 0.0]], dtype=np.float32)
    assert pool(states, "cls").tolist() == [1.0, 0.0]
    assert pool(states, "mean") == pytest.approx(np.array([6, 4]) / np.hypot(6, 4), abs=1e-6)
    assert pool(np.zeros((2, 2), dtype=np.float32), "mean").tolist() == [0.0, 0.0]


def test_the_stamp_is_known_before_the_files_are_there(tmp_path: Path) -> None:
    for name, model in LOCAL_MODELS.items():
        known = stamp(settings(embedding_model=name, model_dir=tmp_path))
        assert (known.model, known.digest, known.dimensions) == (name, model.onnx_sha256, 384)
        assert open_embedder(settings(embedding_model=name, model_dir=tmp_path)) is None


def test_embedding_off_is_no_embedder_and_a_stamp_without_dimensions() -> None:
    assert open_embedder(settings(embedding="none")) is None
    assert stamp(settings(embedding="none")) == NO_MODEL


def test_an_unknown_model_names_the_known_ones() -> None:
    with pytest.raises(ModelUnavailable, match="all-minilm-l6-v2-q, bge-small-en-v15-q"):
        open_embedder(settings(embedding_model="gpt"))
    with pytest.raises(ModelUnavailable, match="titan"):
        stamp(settings(embedding="bedrock", embedding_model="gpt"))


def test_a_model_file_that_is_not_the_pinned_one_is_refused(tmp_path: Path) -> None:
    folder = tmp_path / "all-minilm-l6-v2-q"
    folder.mkdir()
    for name in ("model.onnx", "tokenizer.json"):
        (folder / name).write_bytes(b"other")
    with pytest.raises(ModelUnavailable, match=r"model\.onnx has SHA-256 .* `teal up`"):
        open_embedder(settings(model_dir=tmp_path))


@pytest.mark.parametrize("damaged", ["model.onnx", "tokenizer.json"])
def test_verified_files_that_cannot_be_opened_are_a_model_that_is_unavailable(damaged: str, tmp_path: Path) -> None:
    files = {"model.onnx": b"no graph", "tokenizer.json": Tokenizer(WordLevel({"a": 0}, unk_token="a")).to_str().encode()} | {
        damaged: b"broken"
    }
    for name, content in files.items():
        (tmp_path / name).write_bytes(content)
    digests = {name: hashlib.sha256(content).hexdigest() for name, content in files.items()}
    model = replace(
        LOCAL_MODELS["all-minilm-l6-v2-q"], onnx_sha256=digests["model.onnx"], tokenizer_sha256=digests["tokenizer.json"]
    )
    with pytest.raises(ModelUnavailable, match="cannot be opened"):
        LocalEmbedder(model, tmp_path, threads=1)


class Runtime:
    """In place of ONNX Runtime and the tokenizer: a text of one letter is its number. `fails_on`: these texts, or all."""

    def __init__(self, fails_on: str) -> None:
        self._fails_on = fails_on

    def encode(self, text: str) -> SimpleNamespace:
        return SimpleNamespace(ids=[0 if text in self._fails_on else 1])

    def run(self, _: None, fed: dict[str, Any]) -> list[Any]:
        if self._fails_on == ALL or fed["input_ids"][0][0] == 0:
            raise RuntimeError("bad allocation")
        return [np.ones((1, 1, 4), dtype=np.float32)]


ALL = "*"


def embedder_on(monkeypatch: pytest.MonkeyPatch, fails_on: str) -> LocalEmbedder:
    monkeypatch.setattr("app.models.embed_local.verify", lambda *_, **__: None)
    for opened in ("open_session", "open_tokenizer"):
        monkeypatch.setattr(f"app.models.embed_local.{opened}", lambda *_, **__: Runtime(fails_on))
    return LocalEmbedder(LOCAL_MODELS["all-minilm-l6-v2-q"], Path("models"), threads=1)


def test_a_question_on_which_the_runtime_fails_is_searched_by_words_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ModelUnavailable, match="could not embed the question: RuntimeError: bad allocation"):
        embedder_on(monkeypatch, "q").query("q")


def test_passages_wait_when_the_runtime_embeds_nothing_and_fail_when_it_refuses_them_alone(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with pytest.raises(ModelUnavailable, match="embeds no text"):
        embedder_on(monkeypatch, ALL).passages(["p"])
    with pytest.raises(RuntimeError, match="bad allocation"):  # no Unavailable, for which the worker would wait for ever
        embedder_on(monkeypatch, "p").passages(["other", "p"])
    assert [vector.tolist() for vector in embedder_on(monkeypatch, "p").passages(["other"])] == [[0.5] * 4]


def test_the_title_is_embedded_once() -> None:
    assert passage_text("Tides", "The moon pulls.") == "Tides. The moon pulls."
    assert passage_text("Tides", "Tides and moons") == "Tides and moons"
    assert passage_text("", "The moon pulls.") == "The moon pulls."


def answer(body: object) -> dict[str, Any]:
    data = json.dumps(body).encode()
    return {"body": StreamingBody(io.BytesIO(data), len(data)), "contentType": "application/json"}


TITAN_ANSWER = {"embedding": [1.0] * 1024, "inputTextTokenCount": 1}


def stubbed(model_id: str) -> tuple[BedrockEmbedder, Stubber]:
    client = boto3.client("bedrock-runtime", region_name="eu-central-1", aws_access_key_id="x", aws_secret_access_key="x")
    stubber = Stubber(client)
    stubber.activate()
    return BedrockEmbedder(model_id, client=client), stubber


def fail_until_the_breaker_may_open(embedder: BedrockEmbedder, stubber: Stubber, code: str, words: str, status: int) -> None:
    for _ in range(FAILURES_TO_OPEN):
        stubber.add_client_error("invoke_model", code, words, http_status_code=status)
        with pytest.raises(ModelUnavailable, match=words):
            embedder.query("q")


def expected(model_id: str, body: object) -> dict[str, Any]:
    return {"modelId": model_id, "body": json.dumps(body), "contentType": "application/json", "accept": "application/json"}


def test_titan_gets_one_documented_body_for_each_text() -> None:
    embedder, stubber = stubbed(TITAN)
    for text in ("a", "b"):
        body = {"inputText": text, "dimensions": 1024, "normalize": True}
        stubber.add_response("invoke_model", answer(TITAN_ANSWER), expected(TITAN, body))
    vectors = embedder.passages(["a", "b"])
    stubber.assert_no_pending_responses()
    assert [float(np.linalg.norm(vector)) for vector in vectors] == pytest.approx([1.0, 1.0])
    assert embedder.stamp.dimensions == 1024


def test_cohere_gets_96_texts_a_call_and_knows_questions_from_passages() -> None:
    embedder, stubber = stubbed(COHERE)
    for count in (96, 4):
        body = {"texts": ["t"] * count, "input_type": "search_document", "truncate": "END"}
        stubber.add_response("invoke_model", answer({"embeddings": [[2.0] * 1024] * count}), expected(COHERE, body))
    assert len(embedder.passages(["t"] * 100)) == 100
    question = {"texts": ["q"], "input_type": "search_query", "truncate": "END"}
    stubber.add_response("invoke_model", answer({"embeddings": [[2.0] * 1024]}), expected(COHERE, question))
    assert float(np.linalg.norm(embedder.query("q"))) == pytest.approx(1.0)
    stubber.assert_no_pending_responses()


def test_a_refusal_says_what_the_provider_said() -> None:
    embedder, stubber = stubbed(TITAN)
    stubber.add_client_error("invoke_model", "AccessDeniedException", "no model access")
    with pytest.raises(ModelUnavailable, match=r"AccessDeniedException.*no model access"):
        embedder.query("q")


@pytest.mark.parametrize("body", [{}, {"embedding": [1.0, 2.0]}, {"embedding": ["x"] * 1024}], ids=["nothing", "short", "text"])
def test_an_answer_of_another_form_is_unavailable_not_a_wrong_vector(body: object) -> None:
    embedder, stubber = stubbed(TITAN)
    stubber.add_response("invoke_model", answer(body), {"modelId": TITAN, "body": ANY, "contentType": ANY, "accept": ANY})
    with pytest.raises(ModelUnavailable, match="1024 numbers"):
        embedder.query("q")


def test_cohere_gets_no_text_above_its_documented_limit() -> None:
    embedder, stubber = stubbed(COHERE)
    body = {"texts": ["long" * 512, "short"], "input_type": "search_document", "truncate": "END"}
    stubber.add_response("invoke_model", answer({"embeddings": [[2.0] * 1024] * 2}), expected(COHERE, body))
    assert len(embedder.passages(["long" * 600, "short"])) == 2


def test_a_passage_that_is_refused_while_others_are_taken_fails_its_document() -> None:
    embedder, stubber = stubbed(TITAN)
    stubber.add_client_error("invoke_model", "ValidationException", "too many input tokens", http_status_code=400)
    stubber.add_response("invoke_model", answer(TITAN_ANSWER))
    stubber.add_client_error("invoke_model", "ValidationException", "too many input tokens", http_status_code=400)
    with pytest.raises(PassageRefused, match="too many input tokens"):
        embedder.passages(["\N{PILE OF POO}" * 7000])
    stubber.assert_no_pending_responses()


def test_no_document_fails_because_the_model_was_not_allowed_for_a_moment() -> None:
    embedder, stubber = stubbed(TITAN)
    stubber.add_client_error("invoke_model", "ValidationException", "not allowed", http_status_code=400)
    for _ in range(2):
        stubber.add_response("invoke_model", answer(TITAN_ANSWER))
    assert len(embedder.passages(["text"])) == 1


def test_no_document_fails_because_the_model_is_named_wrongly() -> None:
    embedder, stubber = stubbed(TITAN)
    for _ in range(2):
        stubber.add_client_error("invoke_model", "ValidationException", "the model identifier is invalid", http_status_code=400)
    with pytest.raises(ModelUnavailable, match="identifier"):
        embedder.passages(["text"])
    stubber.assert_no_pending_responses()


def test_questions_that_bedrock_refuses_do_not_stop_the_questions_of_others() -> None:
    embedder, stubber = stubbed(TITAN)
    fail_until_the_breaker_may_open(embedder, stubber, "ValidationException", "too many input tokens", 400)
    stubber.add_response("invoke_model", answer(TITAN_ANSWER))
    assert embedder.query("q").size == 1024


def test_a_provider_that_keeps_failing_is_left_alone_for_a_while() -> None:
    embedder, stubber = stubbed(TITAN)
    fail_until_the_breaker_may_open(embedder, stubber, "ServiceUnavailableException", "away", 503)
    with pytest.raises(ModelUnavailable, match="pause") as refused:
        embedder.query("q")
    assert refused.value.retry_after_seconds is not None
    stubber.assert_no_pending_responses()
