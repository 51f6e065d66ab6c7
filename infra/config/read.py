"""Typed stack configuration: the only reader of `pulumi.Config`. All errors are reported together, before anything is created."""

from __future__ import annotations

import difflib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Final, get_args

from pulumi import RunError
from pydantic import BaseModel, ValidationError

from contract import names
from infra.config.rules import Refusal, check
from infra.config.sections import (
    AlertsConfig,
    BackupConfig,
    CacheConfig,
    ClusterConfig,
    DatabaseConfig,
    Environment,
    GithubConfig,
    LoadConfig,
    ModelsConfig,
    NetworkConfig,
    PromotionConfig,
    ReleasesConfig,
    SearchConfig,
    ServiceConfig,
    StackSettings,
    WebConfig,
)

NAMESPACE = "teal"


class ConfigError(RunError):
    """A stack's configuration cannot be built.
    The text names the file, each key, and what to write instead; Pulumi shows only this text."""


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
    backup: BackupConfig
    service: ServiceConfig
    alerts: AlertsConfig
    budget_usd: int
    github: GithubConfig | None
    models: ModelsConfig
    load: LoadConfig
    releases: ReleasesConfig
    promotion: PromotionConfig
    expected_load: float | None = None

    @property
    def prefix(self) -> str:
        """Start of every physical name: `teal-<stack>`."""
        return names.prefix(self.stack)

    @property
    def tags(self) -> dict[str, str]:
        """On every AWS resource: `teal destroy` and the price report find resources by `teal:stack`."""
        return {names.STACK_TAG: self.stack, "teal:environment": self.environment, "managed-by": "pulumi"}

    def document(self) -> dict[str, object]:
        """All settings by key, as the file says them."""
        return {name: _dumped(getattr(self, name)) for name in StackSettings.model_fields}


def _dumped(value: object) -> object:
    return value.model_dump(mode="json") if isinstance(value, BaseModel) else value


def load_config(values: Mapping[str, object], stack: str, file: str) -> Config:
    """The configuration in `values`, keyed `teal:network` and so on; objects, or JSON as Pulumi hands it over.

    Raises ConfigError with everything that is wrong: unknown keys, wrong types, impossible combinations.
    """
    region = values.get("aws:region")
    if not isinstance(region, str) or not region:
        raise settings_error([Refusal("aws:region", "it is not set", "write a region such as eu-central-1")], file)
    if region not in regions():
        close = difflib.get_close_matches(region, regions(), 1)
        raise settings_error(
            [
                Refusal(
                    "aws:region", f"AWS has no region {region}", f"write {close[0] if close else 'a region such as eu-central-1'}"
                )
            ],
            file,
        )
    own = {key.removeprefix(f"{NAMESPACE}:"): _plain(value) for key, value in values.items() if key.startswith(f"{NAMESPACE}:")}
    try:
        # Validated as JSON: pydantic's strict mode then accepts a list for a tuple,
        # but still requires exact types for everything else.
        document = StackSettings.model_validate_json(json.dumps(own))
    except ValidationError as error:
        raise settings_error([_refusal(dict(each)) for each in error.errors()], file) from None
    refusals = list(check(document, stack))
    if refusals:
        raise settings_error(refusals, file)
    return Config(stack=stack, region=region, **{name: getattr(document, name) for name in StackSettings.model_fields})


@cache  # a third of a second: botocore reads its table of all endpoints
def regions() -> tuple[str, ...]:
    """The regions that offer EKS, according to botocore."""
    import botocore.session

    return tuple(botocore.session.get_session().get_available_regions("eks"))


def read_config() -> Config:
    """The running program's configuration."""
    import pulumi
    from pulumi.runtime import config as runtime

    stack = pulumi.get_stack()
    values: dict[str, object] = {**runtime.get_config_env(), **runtime.CONFIG.get()}
    # The service program shares the project's backend, not its keys: only `teal:` and the region are read.
    return load_config(values, stack, f"Pulumi.{stack}.yaml")


def _plain(value: object) -> object:
    """The value that the YAML file has: Pulumi passes objects and numbers as JSON text."""
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
        meant = difflib.get_close_matches(key.rpartition(".")[2], _known(key), 1)
        fix = f"write {meant[0]}" if meant else "remove it, or correct its name (infra/config/sections.py lists them)"
        return Refusal(key, "there is no such key", fix)
    if "secrets" in key.split("."):  # the value may be a secret
        return Refusal(key, "it is no reference to a secret", "write env:NAME or file:/path")
    for part, said, fix in _WORDS:
        if key.endswith(part) or f".{part}." in f".{key}.":
            return Refusal(key, f"{error['input']!r} is refused: {said}", fix)
    if kind == "missing":
        return Refusal(key, "it is missing", "add it (Pulumi.dev.yaml shows one)")
    return Refusal(key, f"{error['input']!r} is refused: {message}", "correct it (infra/config/sections.py says why)")


def _known(key: str) -> list[str]:
    """The valid keys at the level of `key`."""
    model: type[BaseModel] = StackSettings
    for part in (one for one in key.split(".")[:-1] if not one.isdigit()):  # a number is an index of a list
        found = model.model_fields[part].annotation
        inner = [each for each in (found, *get_args(found)) if isinstance(each, type) and issubclass(each, BaseModel)]
        if not inner:
            return []
        model = inner[0]
    return list(model.model_fields)


# Explanations of patterns for error messages.
_WORDS: Final = (
    (
        "vault_arn",
        "it is not the ARN of a backup vault",
        "write arn:aws:backup:REGION:ACCOUNT:backup-vault:NAME (aws backup describe-backup-vault names it)",
    ),
    ("key_arn", "it is not the ARN of a key", "write arn:aws:kms:REGION:ACCOUNT:key/ID: not the ARN of an alias"),
    (
        "admin_role_arns",
        "it is not the ARN of a role",
        "write arn:aws:iam::ACCOUNT:role/NAME: of a session (arn:aws:sts::…:assumed-role/NAME/…) the role's; a user cannot be listed",
    ),
    ("search.version", "the service speaks to Elasticsearch 8.19", "write a version of 8.19, such as 8.19.21"),
    (
        "instance_class",
        "it is no class of RDS that this program knows the memory of",
        "write one of db.t, db.m, db.r or db.x, such as db.m7g.large",
    ),
    ("engine_version", "it is not a major version of PostgreSQL", "write 15, 16, 17 or 18: AWS moves the minor version"),
    (
        "maintenance_schedule",
        "it is not cron of five fields",
        'write minute, hour, day, month, weekday in UTC, such as "30 3 * * 0"',
    ),
    (
        "snapshot.schedule",
        "it is not Elasticsearch's cron, which begins with seconds",
        'write six fields in UTC, such as "0 0 */6 * * ?"',
    ),
    ("service.cpu", "it is no amount of CPU", 'write whole CPUs or thousandths, such as "1" or 500m'),
)


def settings_error(refusals: Sequence[Refusal], file: str = "The stack's file") -> ConfigError:
    """One error that lists all `refusals`. `file` may be unknown when a running program finds one."""
    lines = [f"  {key if ':' in key else f'{NAMESPACE}:{key}'}: {problem}. To mend it: {fix}." for key, problem, fix in refusals]
    return ConfigError("\n".join([f"{file} cannot be built:", *lines]))
