"""The client of Amazon Bedrock that embedding and generation share."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError
from circuitbreaker import CircuitBreaker

from app.errors import ModelUnavailable

if TYPE_CHECKING:
    from mypy_boto3_bedrock_runtime import BedrockRuntimeClient

CONNECT_SECONDS: Final = 3  # ample within a region; a longer wait means that Bedrock is not reachable
ATTEMPTS: Final = 3  # botocore's standard mode waits up to 20 s between them, with jitter
FAILURES_TO_OPEN: Final = 5  # calls in a row, each already tried three times
OPEN_SECONDS: Final = 15  # then one call probes whether Bedrock is back


def breaker(name: str) -> CircuitBreaker:
    """A circuit breaker for calls to Bedrock. A request that is refused for its content counts as answered: one user's questions
    must not keep Bedrock from the others."""
    return CircuitBreaker(
        FAILURES_TO_OPEN,
        OPEN_SECONDS,
        expected_exception=lambda _, error: isinstance(error, (BotoCoreError, ClientError)) and not is_refusal(error),
        name=name,
    )


def is_refusal(error: BaseException) -> bool:
    """Whether Bedrock refused a request for its content, or for a model that it does not have, and would refuse it again."""
    return isinstance(error, ClientError) and error.response["Error"]["Code"] == "ValidationException"


def bedrock_client(region: str | None, *, read_seconds: float) -> BedrockRuntimeClient:
    """A client that retries throttled calls. `read_seconds`: the longest wait for the next bytes of an answer.
    Raises `ModelUnavailable` without a region."""
    retries = Config(
        retries={"mode": "standard", "max_attempts": ATTEMPTS}, connect_timeout=CONNECT_SECONDS, read_timeout=read_seconds
    )
    try:
        client: BedrockRuntimeClient = boto3.client("bedrock-runtime", region_name=region, config=retries)
    except BotoCoreError as error:
        raise ModelUnavailable(f"Bedrock cannot be used: {error}. Set AWS_REGION and the credentials of the process.") from error
    return client
