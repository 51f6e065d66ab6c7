"""What things are called on AWS: a stack's prefix and tags, and the objects that the platform keeps in the cluster for each color."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from contract.color import Color

EXAMPLE_ACCOUNT: Final = "123456789012"  # AWS's own documentation uses it, and so do tests: never a real one
STACK_TAG: Final = "teal:stack"  # on every AWS resource of a stack
NAMESPACES: Final[Mapping[Color, str]] = {"blue": "teal-blue", "green": "teal-green"}
# Jobs that snapshot and restore run here and not in a color's namespace: whoever may change a color must not get the operator's secrets.
OPERATOR_NAMESPACE: Final = "teal-operator"
DEPLOYMENT: Final = "teal"  # what answers HTTP, in each color's namespace
WORKERS: Final = "teal-worker"  # the StatefulSet that ingests
RELEASE_RECORD: Final = "record.json"  # the object that says what is released, in a stack's bucket of releases
CHECK: Final = "teal-verify"  # the CronJob that restores a snapshot for a test; the color's name follows


def prefix(stack: str) -> str:
    """How every physical name of a stack begins; the cluster has just this name."""
    return f"teal-{stack}"


def database(stack: str) -> str:
    """The identifier of a stack's database; of a restored one, how it begins."""
    return f"{prefix(stack)}-db"
