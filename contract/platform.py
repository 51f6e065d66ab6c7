"""The outputs of the platform's Pulumi program, which `teal` and each color's program read. None of them is secret."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from contract.color import Color

Environment = Literal["dev", "staging", "prod"]


class _Output(BaseModel):
    # The platform may be newer than its reader and have outputs that the reader does not know.
    model_config = ConfigDict(frozen=True, strict=True, extra="ignore")


class ClusterAccess(_Output):
    """How the Kubernetes API is reached; `ca_data` is base64."""

    name: str
    endpoint: str
    ca_data: str


class SecretReference(_Output):
    """Where one secret of the service is stored. `key` names a field of its JSON; without a key the whole value is the secret."""

    secret_arn: str
    key: str | None = None


class ServiceDefaults(BaseModel):
    """The section `teal:service` of a stack's file, for each color's pods: their resource requests, the bounds of both
    autoscalers, and how many jobs one worker takes at a time."""

    model_config = ConfigDict(frozen=True, strict=True, extra="forbid")

    cpu: str = Field(default="1", pattern=r"^([1-9]\d*m|[1-9]\d*)$")
    memory_mib: int = Field(default=1_536, ge=512, le=65_536)
    min_replicas: int = Field(default=2, ge=1, le=100)
    max_replicas: int = Field(default=10, ge=1, le=500)
    target_cpu_percent: int = Field(default=60, ge=10, le=95)
    worker_min: int = Field(default=1, ge=0, le=100)
    worker_max: int = Field(default=5, ge=1, le=200)
    jobs_per_worker: int = Field(default=20, ge=1, le=1_000)


class Platform(_Output):
    """One stack's outputs. `document` is all of them as JSON, for the color's program; it is not an output itself."""

    region: str
    account_id: str
    environment: Environment
    vpc_cidr: str
    cluster: ClusterAccess
    url: str
    rule_arn: str
    target_group_arns: Mapping[Color, str]
    probe_header: str
    probe_secret_arns: Mapping[Color, str]
    namespaces: Mapping[Color, str]
    operator_namespace: str
    repository_url: str
    release_bucket: str
    app_environment: Mapping[str, str]
    app_secrets: Mapping[str, SecretReference]
    prometheus_query_url: str
    topic_arn: str | None = None  # every alert goes there
    service_defaults: ServiceDefaults
    document: str = ""
