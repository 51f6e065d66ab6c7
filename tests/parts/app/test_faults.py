"""Parts that go away and come back, models that stall, clients that leave: on real processes."""

from __future__ import annotations

import json
import threading
import time
import uuid
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import httpx
import pytest

from tests.parts.app.service import Service, add, sse, until
from tests.services.http_stand_in import Handler, listening
from tests.services.redis_process import RedisProcess

pytestmark = pytest.mark.integration

LIGHTHOUSE = (
    "The lighthouse of Alexandria was built around 280 BC. It stood on the island of Pharos and was over one hundred metres tall."
)
QUESTION = "When was the lighthouse of Alexandria built?"
WRITTEN_SECONDS = 0.1  # an app sends what it found to Redis 5 ms after its answer, later than a fast machine asks the other app


class MockModel:
    """An OpenAI-compatible endpoint on loopback that streams what a test sets, and notices when its reader leaves."""

    def __init__(self) -> None:
        self.reader_left = threading.Event()
        self.behave()
        model = self

        class Model(Handler):
            def do_POST(self) -> None:
                self.received()
                self.send_response(model.status)
                self.end_headers()
                if model.status != 200:
                    return
                time.sleep(model.silence_seconds)
                try:
                    for piece in model.pieces:
                        self._send(piece)
                    deadline = time.monotonic() + 20
                    while model.endless and time.monotonic() < deadline:
                        self._send("More and more. ")
                        time.sleep(0.05)
                    usage = {
                        "choices": [],
                        "usage": {"prompt_tokens": 120, "completion_tokens": 9},
                    }  # the last chunk, as asked for
                    self.wfile.write(f"data: {json.dumps(usage)}\n\ndata: [DONE]\n\n".encode())
                except OSError:
                    model.reader_left.set()

            def _send(self, text: str) -> None:
                chunk = {"choices": [{"delta": {"content": text}}]}
                self.wfile.write(f"data: {json.dumps(chunk)}\n\n".encode())
                self.wfile.flush()

        self._running = ExitStack()
        self.url = f"http://127.0.0.1:{self._running.enter_context(listening(Model))}/v1"

    def behave(self) -> None:
        """As at the start of each test."""
        self.silence_seconds = 0.0
        self.status = 200
        self.pieces: tuple[str, ...] = ("It was built around 280 BC [1]. ",)
        self.endless = False
        self.reader_left.clear()

    def close(self) -> None:
        self._running.close()


@pytest.fixture(scope="module")
def endpoint() -> Iterator[MockModel]:
    mock = MockModel()
    yield mock
    mock.close()


@pytest.fixture
def model(endpoint: MockModel) -> MockModel:
    endpoint.behave()
    return endpoint


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory, endpoint: MockModel) -> Iterator[Service]:
    environment = {
        "TEAL_GENERATION": "openai",
        "TEAL_GENERATION_MODEL": "mock",
        "TEAL_OPENAI_BASE_URL": endpoint.url,
        "TEAL_CACHE_SECONDS": "0",
        "TEAL_EMBEDDING": "none",
    }
    running = Service(tmp_path_factory.mktemp("service"), environment).start()
    yield running
    running.stop()


@pytest.fixture
def client(service: Service) -> Iterator[httpx.Client]:
    with service.client("admin") as admin:
        add(admin, "Lighthouse", LIGHTHOUSE)
        yield admin


def test_only_cited_sentences_of_a_language_model_reach_the_reader(client: httpx.Client, model: MockModel) -> None:
    model.pieces = ("It was built ", "around 280 BC [1]. I am sure of it. ", "It stood on Pharos [1].")
    body = client.post("/v1/ask", json={"question": QUESTION}).json()
    assert body["answer"] == "It was built around 280 BC [1]. It stood on Pharos [1]."
    assert (body["grounded"], body["label"]) == (True, "Written by mock from the cited sources.")


def test_words_come_before_they_are_checked_and_those_without_a_source_are_taken_back(
    client: httpx.Client, model: MockModel
) -> None:
    model.pieces = ("It was built ", "around 280 BC [1]. I am sure ", "of it. ", "It stood on Pharos [1].")
    with client.stream("POST", "/v1/ask", json={"question": QUESTION, "stream": "words"}) as response:
        lines = [line for line in response.iter_lines() if line.startswith(("event:", "data:"))]
    events = [(event.split()[1], json.loads(data[5:])) for event, data in zip(lines[::2], lines[1::2], strict=True)]
    words = "".join(data["text"] for name, data in events if name == "words")
    assert words == "".join(model.pieces)
    taken_back = [(data["from"], data["to"]) for name, data in events if name == "retract"]
    assert taken_back[0][0] == 0
    assert taken_back[-1][1] == len(words)
    assert [data["text"] for name, data in events if name == "token"] == [
        "It was built around 280 BC [1].",
        " It stood on Pharos [1].",
    ]
    names = [name for name, _ in events]
    assert names.index("words") < names.index("retract") < names.index("token")
    assert (names[0], names[-1]) == ("retrieval", "done")
    with client.stream("POST", "/v1/ask", json={"question": QUESTION, "stream": True}) as response:
        assert not {"event: words", "event: retract"} & set(response.iter_lines())  # nobody asked for them


def test_an_answer_says_the_tokens_that_the_language_model_counted(client: httpx.Client, model: MockModel) -> None:
    assert model.status == 200
    body = client.post("/v1/ask", json={"question": QUESTION}).json()
    assert body["usage"] == {"input_tokens": 120, "output_tokens": 9}
    turns = [{"role": "user", "content": QUESTION}, {"role": "assistant", "content": "Around 280 BC [1]."}]
    followed = client.post("/v1/ask", json={"question": QUESTION, "history": turns}).json()
    assert followed["usage"] == {"input_tokens": 240, "output_tokens": 18}  # it also made the question whole
    messages = [{"role": "user", "content": QUESTION}]
    whole = client.post("/v1/chat/completions", json={"model": "teal", "messages": messages}).json()
    assert whole["usage"] == {"prompt_tokens": 120, "completion_tokens": 9, "total_tokens": 129}
    unasked = client.post("/v1/ask", json={"question": "Who won the curling cup of Ostrel?"}).json()
    assert (unasked["grounded"], unasked["usage"]) == (False, {"input_tokens": 0, "output_tokens": 0})


def test_silent_model_is_bridged_by_heartbeats(client: httpx.Client, model: MockModel) -> None:
    model.silence_seconds = 18  # a heartbeat comes after 15, by another process's clock
    with client.stream("POST", "/v1/ask", json={"question": QUESTION, "stream": True}) as response:
        lines = list(response.iter_lines())
    first_token = next(number for number, line in enumerate(lines) if line == "event: token")
    assert any(line.startswith(": ping") for line in lines[:first_token])
    assert "event: done" in lines


def test_generation_stops_when_the_reader_of_a_stream_leaves(client: httpx.Client, model: MockModel) -> None:
    model.endless = True
    with client.stream("POST", "/v1/ask", json={"question": QUESTION, "stream": True}) as response:
        assert "event: token" in response.iter_lines()  # reads up to the first token, and leaves
    assert model.reader_left.wait(5), "the model was still being read"


def test_generation_stops_when_the_caller_of_a_whole_answer_leaves(client: httpx.Client, model: MockModel) -> None:
    model.endless = True
    with pytest.raises(httpx.ReadTimeout):
        client.post("/v1/ask", json={"question": QUESTION}, timeout=1)
    assert model.reader_left.wait(5), "the model was still being read"


def test_dead_model_is_a_clear_error_and_search_goes_on(client: httpx.Client, model: MockModel) -> None:
    model.status = 503
    answer = client.post("/v1/ask", json={"question": QUESTION})
    assert (answer.status_code, answer.json()["code"]) == (503, "model-unavailable")
    assert int(answer.headers["retry-after"]) > 0
    with client.stream("POST", "/v1/ask", json={"question": QUESTION, "stream": True}) as response:
        events = sse(response)
    assert events[0][0] == "retrieval"
    assert (events[-1][0], events[-1][1]["code"]) == ("error", "model-unavailable")
    assert client.post("/v1/search", json={"query": "lighthouse"}).json()["hits"]
    model.status = 200
    until("answers again", lambda: client.post("/v1/ask", json={"question": QUESTION}).json().get("grounded") is True, 20)


def test_redis_gone_is_slower_not_broken_and_it_recovers_alone(tmp_path: Path, redis_server: RedisProcess) -> None:
    service = Service(tmp_path, {"REDIS_URL": redis_server.url, "TEAL_EMBEDDING": "none"}, apps=2).start()
    key = service.key("admin")
    try:
        with service.client_with(key, app=0) as one, service.client_with(key, app=1) as two:
            add(one, "Lighthouse", LIGHTHOUSE)

            def shared() -> str:
                body = {"query": f"lighthouse {uuid.uuid4()}"}
                assert one.post("/v1/search", json=body).status_code == 200
                time.sleep(WRITTEN_SECONDS)
                return str(two.post("/v1/search", json=body).headers["x-cache"])

            until("the processes share what they found", lambda: shared() == "hit-redis", 10)  # they have seen the same index
            redis_server.stop()
            for _ in range(10):
                assert shared() == "miss"
            assert one.post("/v1/ask", json={"question": QUESTION}).json()["grounded"]
            until("the reason is named", lambda: "redis" in one.get("/readyz").json()["reasons"], 10)
            assert one.get("/readyz").status_code == 200
            redis_server.start()
            until("Redis is used again", lambda: shared() == "hit-redis", 20, each_seconds=0.5)
    finally:
        if redis_server.stopped:
            redis_server.start()
        service.stop()


def test_model_that_arrives_later_is_used_without_a_restart(tmp_path: Path) -> None:
    from tests.parts.app.service import MODELS
    from tests.services.required import require

    require("the embedding model", "Run `make fetch`.", any(MODELS.glob("*/model.onnx")))
    late = tmp_path / "models"
    service = Service(tmp_path, {"TEAL_MODEL_DIR": str(late)})
    try:
        service.start(until="degraded")
        with service.client("admin") as client:
            add(client, "Lighthouse", LIGHTHOUSE)
            answer = client.post("/v1/search", json={"query": "lighthouse"}).json()
            assert (answer["mode"], bool(answer["degraded"])) == ("lexical", True)
            late.symlink_to(MODELS)
            deadline = time.monotonic() + 120
            while (
                client.post("/v1/search", json={"query": "tall building for ships", "mode": "semantic"}).json()["mode"]
                != "semantic"
            ):
                assert time.monotonic() < deadline
                time.sleep(1)
            status = client.get("/v1/status").json()["search"]
            assert status["vectors"] == status["passages"] > 0
    finally:
        service.stop()


def test_errors_reach_sentry_when_it_is_set(tmp_path: Path) -> None:
    import logging

    import sentry_sdk

    from app.observability.logging import configure_logging
    from app.settings import Settings

    received: list[bytes] = []

    class Sentry(Handler):
        def do_POST(self) -> None:
            received.append(self.received())
            self.answer()

    running = ExitStack()
    before = logging.getLogger().handlers[:]
    try:
        dsn = f"http://public@127.0.0.1:{running.enter_context(listening(Sentry))}/1"
        configure_logging(Settings(sentry_dsn=dsn, log_dir=tmp_path, release_id="r7"), "app")
        logging.getLogger("app.test").error("something broke")
        sentry_sdk.flush(5)
        deadline = time.monotonic() + 5
        while not received and time.monotonic() < deadline:
            time.sleep(0.05)
        assert received
        line = json.loads((tmp_path / "app.log").read_text().splitlines()[-1])
        assert (line["message"], line["level"], line["release"]) == ("something broke", "ERROR", "r7")
    finally:
        sentry_sdk.init(default_integrations=False)  # with them it would go on adding to the environment of every process
        logging.getLogger().handlers[:] = before
        running.close()
