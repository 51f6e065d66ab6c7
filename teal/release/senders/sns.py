"""Sends to a topic of Amazon SNS. The releaser's credentials need `sns:Publish` on it,
and kms:GenerateDataKey and kms:Decrypt on its key."""

from __future__ import annotations

import re
from typing import Final

from teal.release.senders.sender import NotificationNotSent, Sender

_TOPIC: Final = re.compile(r"arn:aws[a-z-]*:sns:([a-z0-9-]+):\d{12}:[\w-]{1,256}")
_SUBJECT_CHARACTERS: Final = 99  # SNS API Reference, Publish: a subject has fewer than 100 ASCII characters and begins with one


def invalid_address(to: str) -> str:
    return "" if _TOPIC.fullmatch(to) else "it is no ARN of an SNS topic"


def send(address: str, text: str, seconds: float) -> None:
    import boto3
    from botocore.config import Config
    from botocore.exceptions import BotoCoreError, ClientError

    found = _TOPIC.fullmatch(address)
    if found is None:
        raise NotificationNotSent("it is no ARN of an SNS topic")
    half = seconds / 2  # for connecting, and again for the response
    settings = Config(connect_timeout=half, read_timeout=half, retries={"total_max_attempts": 1})
    subject = text.splitlines()[0].encode("ascii", "replace").decode()[:_SUBJECT_CHARACTERS]
    try:
        boto3.Session(region_name=found[1]).client("sns", config=settings).publish(
            TopicArn=address, Subject=subject, Message=text
        )
    except ClientError as error:
        raise NotificationNotSent(f"SNS refused it: {error.response.get('Error', {}).get('Code')}") from None
    except BotoCoreError as error:
        raise NotificationNotSent(f"SNS did not answer: {type(error).__name__}") from None


SNS: Final = Sender("sns", invalid_address, send)
