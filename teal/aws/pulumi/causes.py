"""What Pulumi's errors mean for an operator: its words, ours, and the command to run next.

Pulumi has no error codes. Where the words are from: `no stack named` pkg/backend/backenderr, `currently locked` pkg/backend/diy/lock.go,
`passphrase` pkg/secrets/passphrase/manager.go, all of Go module github.com/pulumi/pulumi/pkg/v3@v3.274.1; of what AWS says inside Pulumi's text,
reports: pulumi/pulumi#8144 (NoSuchBucket), #10012 (login to no bucket), #19452 (ExpiredToken), #10303 (no EC2 IMDS role). `unknown flag` is the
command-line library's (spf13/pflag).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class PulumiErrorCause:
    """`words`: a pattern in Pulumi's output. `next` may say {stack}."""

    words: str
    what: str
    next: str


CAUSES: Final = (
    PulumiErrorCause(r"NoSuchBucket|bucket s3://\S+ is not accessible", "The bucket of Pulumi's state is not there yet", "teal bootstrap {stack}"),
    PulumiErrorCause(r"no stack named|no previous deployment", "Pulumi's state knows no such stack", "teal bootstrap {stack}"),
    PulumiErrorCause(r"unknown (?:shorthand )?flag|unknown command", "The pulumi command is too old for this", "teal doctor --stack {stack}"),
    PulumiErrorCause(
        r"passphrase must be set|incorrect passphrase",
        "The stack's secrets are not encrypted by the key that `teal bootstrap` makes",
        "teal bootstrap {stack}",
    ),
    PulumiErrorCause(
        r"ExpiredToken|RequestExpired|InvalidClientTokenId|InvalidAccessKeyId|no EC2 IMDS role found|failed to refresh cached credentials",
        "Pulumi has no valid AWS credentials",
        "teal doctor --stack {stack}",
    ),
    PulumiErrorCause(
        r"the stack is currently locked", "Another Pulumi operation holds the stack, or one ended without giving it back",
        "pulumi cancel --stack {stack}, once nobody runs one (runbooks/stuck-pulumi-state.md)",
    ),
)  # fmt: skip


def cause(said: str) -> PulumiErrorCause | None:
    """The first cause whose words are in Pulumi's output."""
    return next((one for one in CAUSES if re.search(one.words, said, re.IGNORECASE)), None)
