"""Names on AWS: a stack's prefix and tags, and the objects that the platform keeps in the cluster for each color."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from contract.color import Color

EXAMPLE_ACCOUNT: Final = "123456789012"  # used by AWS's own documentation and by tests; never a real account
STACK_TAG: Final = "teal:stack"  # on every AWS resource of a stack
NAMESPACES: Final[Mapping[Color, str]] = {"blue": "teal-blue", "green": "teal-green"}
# Jobs that snapshot and restore run here and not in a color's namespace: the right to change a color must not give the operator's
# secrets.
OPERATOR_NAMESPACE: Final = "teal-operator"
DEPLOYMENT: Final = "teal"  # the Deployment that answers HTTP, in each color's namespace
WORKERS: Final = "teal-worker"  # the StatefulSet that ingests
RELEASE_RECORD: Final = "record.json"  # the object that says what is released, in a stack's bucket of releases
CHECK: Final = "teal-verify"  # the CronJob that restores a snapshot for a test; the color's name follows


def prefix(stack: str) -> str:
    """The prefix of every physical name in a stack; the cluster's name is the prefix alone."""
    return f"teal-{stack}"


def release_bucket(stack: str, account_id: str) -> str:
    """The bucket of a stack's release record; known to other stacks without reading this one's outputs."""
    return f"{prefix(stack)}-releases-{account_id}"


def database(stack: str) -> str:
    """The identifier of a stack's database; the identifier of a restored one begins with it."""
    return f"{prefix(stack)}-db"
