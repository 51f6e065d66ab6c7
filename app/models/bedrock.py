"""The client of Amazon Bedrock that embedding and generation share."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError

from app.errors import ModelUnavailable

if TYPE_CHECKING:
    from mypy_boto3_bedrock_runtime import BedrockRuntimeClient

CONNECT_SECONDS: Final = 3  # ample within a region; a longer wait means that Bedrock is not reachable
ATTEMPTS: Final = 3  # botocore's standard mode waits up to 20 s between them, with jitter


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
