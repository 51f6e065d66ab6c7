"""The inputs of a color: its entry in the release record and the platform's outputs.
Only this module reads the program's configuration.

Both come as JSON in the stack's configuration (`teal-service:record`, `teal-service:platform`), written by `teal release`. No stack
reference: reading one needs the platform's whole state and its key, and the release role has neither.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from pulumi import RunError
from pydantic import Field, ValidationError

from contract import pods
from contract.color import Color, ColorState, ReleaseId
from contract.platform import Platform


class InputError(RunError):
    """The stack's configuration is invalid. The text names each key and the command to run."""


class ColorRecord(ColorState):
    """One color of the release record, and which color it is. Narrower than the record's own: on AWS an image has a digest."""

    color: Color
    release_id: ReleaseId
    image: str = Field(pattern=r"^[^@\s]+@sha256:[0-9a-f]{64}$")
    index: str = Field(pattern=r"^[a-z][a-z0-9-]{0,60}$")
    schema_min: str = ""
    schema_max: str = ""
    replica_floor: int = Field(ge=0)


@dataclass(frozen=True)
class Inputs:
    """What a color is made from."""

    record: ColorRecord
    platform: Platform

    @property
    def namespace(self) -> str:
        """The namespace of this color."""
        return self.platform.namespaces[self.record.color]

    def labels(self, component: str) -> dict[str, str]:
        """The labels that select the pods of one component; they never change while the color exists."""
        return pods.pod_labels(self.record.color, component)


def parse_inputs(record: str, platform: str) -> Inputs:
    """Parse and check both documents. Raises InputError."""
    found: dict[str, Any] = {}
    wrong: list[str] = []
    for key, text, model in (("record", record, ColorRecord), ("platform", platform, Platform)):
        try:
            found[key] = model.model_validate_json(text)
        except ValidationError as error:
            wrong += [
                f"  teal-service:{key}.{'.'.join(str(part) for part in each['loc'])}: {each['msg']}" for each in error.errors()
            ]
    if wrong:
        raise InputError(
            "\n".join(["This stack's configuration does not make a color:", *wrong, "  next: teal release --dry-run"])
        )
    return Inputs(**found)


def read_inputs() -> Inputs:
    """The running program's configuration."""
    import pulumi

    config = pulumi.Config("teal-service")
    return parse_inputs(config.require("record"), config.require("platform"))
