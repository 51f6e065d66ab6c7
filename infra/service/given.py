"""What a color is made from: its entry of the release record and the platform's outputs. The only reader of this program's config.

Both come as JSON in the stack's configuration (`teal-service:record`, `teal-service:platform`), written by `teal release`. No stack
reference: reading one needs the platform's whole state and its key, and the release role has neither.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from pulumi import RunError
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from infra import scraped
from infra.sections import ServiceConfig

Color = Literal["blue", "green"]


class GivenError(RunError):
    """The stack's configuration does not make a color. The text names each key and what to run."""


class _Given(BaseModel):
    model_config = ConfigDict(frozen=True, strict=True, extra="forbid")


class ColorRecord(_Given):
    """One color of the release record. `label` and the schema's bounds are the releaser's; nothing here depends on them."""

    color: Color
    release_id: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$")  # it is a label's value and part of a query
    image: str = Field(pattern=r"^[^@\s]+@sha256:[0-9a-f]{64}$")
    label: str = ""
    config: Mapping[str, str] = {}
    secret_versions: Mapping[str, str] = {}
    index: str = Field(pattern=r"^[a-z][a-z0-9-]{0,60}$")
    schema_min: str = ""
    schema_max: str = ""
    replica_floor: int = Field(ge=0)


class SecretRef(_Given):
    """One secret of the service: where it is, and the key of its JSON; without a key, all of it."""

    secret_arn: str
    key: str | None = None


class ClusterAccess(_Given):
    name: str
    endpoint: str
    ca_data: str


class Platform(_Given):
    """The platform's outputs that a color needs. It has more, and may have others tomorrow."""

    model_config = ConfigDict(frozen=True, strict=True, extra="ignore")

    region: str
    environment: Literal["dev", "staging", "prod"]
    vpc_cidr: str
    cluster: ClusterAccess
    target_group_arns: Mapping[str, str]
    namespaces: Mapping[str, str]
    app_secrets: Mapping[str, SecretRef]
    service_defaults: ServiceConfig


class Given(_Given):
    record: ColorRecord
    platform: Platform

    @property
    def namespace(self) -> str:
        return self.platform.namespaces[self.record.color]

    @property
    def labels(self) -> dict[str, str]:
        """On every object and pod of the color; `app.kubernetes.io/component` is added to tell app from worker."""
        return {scraped.NAME_LABEL: scraped.SERVICE, "teal/color": self.record.color}


def parse(record: str, platform: str) -> Given:
    """Both documents, checked. Raises GivenError."""
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
        raise GivenError(
            "\n".join(["This stack's configuration does not make a color:", *wrong, "  next: teal release --dry-run"])
        )
    return Given(**found)


def read() -> Given:
    """The running program's configuration."""
    import pulumi

    config = pulumi.Config("teal-service")
    return parse(config.require("record"), config.require("platform"))
