"""Typed stack configuration: the only reader of `pulumi.Config`. Everything wrong is said at once, before anything is created."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from pulumi import RunError
from pydantic import ValidationError

from infra.rules import Refusal, check
from infra.sections import (
    AlertsConfig,
    CacheConfig,
    ClusterConfig,
    DatabaseConfig,
    Document,
    Environment,
    GithubConfig,
    LoadConfig,
    ModelsConfig,
    NetworkConfig,
    SearchConfig,
    ServiceConfig,
    WebConfig,
)

NAMESPACE = "teal"


class ConfigError(RunError):
    """A stack's configuration cannot be built. The text names the file, each key, and what to write instead; Pulumi shows that alone."""


@dataclass(frozen=True)
class Config:
    """One stack's configuration. `prefix` starts every physical name; `tags` are on every resource."""

    stack: str
    region: str
    environment: Environment
    network: NetworkConfig
    cluster: ClusterConfig
    web: WebConfig
    search: SearchConfig
    cache: CacheConfig
    database: DatabaseConfig
    service: ServiceConfig
    alerts: AlertsConfig
    budget_usd: int
    github: GithubConfig
    models: ModelsConfig
    load: LoadConfig

    @property
    def prefix(self) -> str:
        """Start of every physical name: `teal-<stack>`."""
        return f"{NAMESPACE}-{self.stack}"

    @property
    def tags(self) -> dict[str, str]:
        """On every AWS resource: `teal destroy` and the price report find resources by `teal:stack`."""
        return {"teal:stack": self.stack, "teal:environment": self.environment, "managed-by": "pulumi"}


def load(values: Mapping[str, object], stack: str, file: str) -> Config:
    """The configuration in `values`, keyed `teal:network` and so on; objects, or JSON as Pulumi hands it over.

    Raises ConfigError with everything that is wrong: unknown keys, wrong types, impossible combinations.
    """
    region = values.get("aws:region")
    if not isinstance(region, str) or not region:
        raise refused([Refusal("aws:region", "it is not set", "write a region such as eu-central-1")], file)
    own = {key.removeprefix(f"{NAMESPACE}:"): _plain(value) for key, value in values.items() if key.startswith(f"{NAMESPACE}:")}
    try:
        # As JSON, because there a list is a tuple and everything else still has to have its exact type.
        document = Document.model_validate_json(json.dumps(own))
    except ValidationError as error:
        raise refused([_refusal(dict(each)) for each in error.errors()], file) from None
    refusals = list(check(document, stack))
    if refusals:
        raise refused(refusals, file)
    return Config(stack=stack, region=region, **{name: getattr(document, name) for name in Document.model_fields})


def read() -> Config:
    """The running program's configuration."""
    import pulumi
    from pulumi.runtime import config as runtime

    stack = pulumi.get_stack()
    values: dict[str, object] = {**runtime.get_config_env(), **runtime.CONFIG.get()}
    # The service program shares the project's backend, not its keys: only `teal:` and the region are read.
    return load(values, stack, f"Pulumi.{stack}.yaml")


def _plain(value: object) -> object:
    """What YAML meant: Pulumi hands objects and numbers over as JSON text."""
    if isinstance(value, str):
        try:
            return json.loads(value)
        except ValueError:
            return value
    return value


def _refusal(error: Mapping[str, object]) -> Refusal:
    location = error["loc"]
    key = ".".join(str(part) for part in location) if isinstance(location, tuple) else str(location)  # pyright: ignore[reportUnknownVariableType, reportUnknownArgumentType]  # pydantic: tuple of str and int
    kind, message = str(error["type"]), str(error["msg"])
    if kind == "extra_forbidden":
        return Refusal(key, "there is no such key", "remove it, or correct its name (infra/sections.py lists them)")
    if kind == "missing":
        return Refusal(key, "it is missing", "add it (Pulumi.dev.yaml shows one)")
    return Refusal(key, f"{error['input']!r} is refused: {message}", "correct it (infra/sections.py says why)")


def refused(refusals: Sequence[Refusal], file: str = "The stack's file") -> ConfigError:
    """The error that says all of `refusals`. A program that finds one while it runs may not know the file."""
    lines = [f"  {key if ':' in key else f'{NAMESPACE}:{key}'}: {problem}. To mend it: {fix}." for key, problem, fix in refusals]
    return ConfigError("\n".join([f"{file} cannot be built:", *lines]))
