"""Amazon Bedrock through the Converse API. Tested against botocore's model of the API; never run on AWS (docs/proof.md)."""

from __future__ import annotations

import contextlib
import queue
import threading
from collections.abc import AsyncGenerator, Iterable
from typing import TYPE_CHECKING, Any, Final

from anyio import to_thread
from botocore.exceptions import BotoCoreError, ClientError

from app.errors import ModelUnavailable
from app.models.bedrock import bedrock_client, breaker
from app.models.generation import Generation
from app.observability.metrics import MODEL_CALLS, MODEL_LIMITED, PROVIDER_ERRORS
from app.settings import Settings

if TYPE_CHECKING:
    from mypy_boto3_bedrock_runtime import BedrockRuntimeClient

_AHEAD_PIECES: Final = 64  # how many pieces the model may be ahead of a slow reader before it has to wait
_END: Final = object()


class BedrockGenerator:
    """Streams `converse_stream`; botocore retries throttling and connection faults before the stream starts."""

    def __init__(self, settings: Settings, client: BedrockRuntimeClient | None = None) -> None:
        self.label = f"Written by {settings.generation_model} on Amazon Bedrock from the cited sources."
        self._model = settings.generation_model
        self._max_tokens = settings.max_answer_tokens
        self._client = client or bedrock_client(settings.aws_region, read_seconds=settings.generation_timeout_seconds)
        self._breaker = breaker("bedrock")

    async def stream(self, system: str, user: str) -> AsyncGenerator[str, None]:
        """Text pieces as they arrive; raises ModelUnavailable. Leaving early ends the call to Bedrock."""
        if self._breaker.opened:
            raise ModelUnavailable("Bedrock has failed repeatedly and is left alone for some seconds.")
        with Generation("bedrock", self._model, self._max_tokens) as generation:
            async with contextlib.aclosing(self._pieces(system, user, generation)) as texts:
                async for text in texts:
                    generation.piece()
                    yield text

    async def _pieces(self, system: str, user: str, generation: Generation) -> AsyncGenerator[str, None]:
        try:
            response = await to_thread.run_sync(lambda: self._breaker.call(self._converse, system, user))
        except (BotoCoreError, ClientError) as error:
            PROVIDER_ERRORS.labels("bedrock").inc()
            if isinstance(error, ClientError) and error.response.get("Error", {}).get("Code") == "ThrottlingException":
                MODEL_LIMITED.labels("bedrock").inc()
            raise ModelUnavailable(f"Bedrock did not answer for model {self._model}: {error}.") from error
        events: Any = response["stream"]
        pieces: queue.Queue[object] = queue.Queue(_AHEAD_PIECES)
        left = threading.Event()
        reader = threading.Thread(target=_read, args=(events, pieces, left, generation), daemon=True, name="bedrock-stream")
        reader.start()
        try:
            while (piece := await to_thread.run_sync(pieces.get, abandon_on_cancel=True)) is not _END:
                if isinstance(piece, Exception):
                    PROVIDER_ERRORS.labels("bedrock").inc()
                    raise ModelUnavailable(f"Bedrock broke off in the middle of the answer: {piece}.") from piece
                yield str(piece)
        finally:
            left.set()
            with contextlib.suppress(queue.Full):
                pieces.put_nowait(_END)  # frees the thread that still waits in get()
            if hasattr(events, "close"):
                events.close()

    async def close(self) -> None:
        self._client.close()

    def _converse(self, system: str, user: str) -> Any:
        MODEL_CALLS.labels("bedrock").inc()
        return self._client.converse_stream(
            modelId=self._model,
            system=[{"text": system}],
            messages=[{"role": "user", "content": [{"text": user}]}],
            inferenceConfig={"maxTokens": self._max_tokens, "temperature": 0.0},
        )


def _read(events: Iterable[dict[str, Any]], pieces: queue.Queue[object], left: threading.Event, generation: Generation) -> None:
    """Move text from the blocking stream to `pieces` until it ends or the reader has left."""
    try:
        for event in events:
            text = event.get("contentBlockDelta", {}).get("delta", {}).get("text")
            if text and not _offer(pieces, text, left):
                return
            if usage := event.get("metadata", {}).get("usage"):
                generation.used(int(usage.get("inputTokens", 0)), int(usage.get("outputTokens", 0)))
            if reason := event.get("messageStop", {}).get("stopReason"):
                generation.finished(str(reason))
        _offer(pieces, _END, left)
    except Exception as error:  # noqa: BLE001 - handed to the reader, who reports it
        _offer(pieces, error, left)


def _offer(pieces: queue.Queue[object], item: object, left: threading.Event) -> bool:
    while not left.is_set():
        try:
            pieces.put(item, timeout=0.5)
        except queue.Full:
            continue
        return True
    return False
