"""The settings that the platform gives the service: plain values, and secrets by reference.
The names are those of `app.settings`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from urllib.parse import urlsplit

import pulumi

from contract.pods import SECRETS_FOLDER
from infra.compose.stores import Stores
from infra.config.read import Config
from infra.platform.cluster.load_test import MOCK_MODEL_URL
from infra.platform.cluster.secrets import Reference

SEARCH_CA_FILE = "search-ca.crt"


@dataclass(frozen=True)
class PodSettings:
    """`plain`: environment of every pod of every color. `secret`: what pods read, by the name of the variable or file.

    `operator`: secrets that replace those of the same names in a Job that takes or restores snapshots.
    `ports`: ports on the internet that pods call.
    """

    plain: Mapping[str, pulumi.Input[str]]
    secret: Mapping[str, Reference]
    operator: Mapping[str, Reference]
    ports: Sequence[int]


def pod_settings(config: Config, stores: Stores) -> PodSettings:
    """A release may change plain settings in its record; secrets are the platform's."""
    database, models = stores.database, config.models
    plain: dict[str, pulumi.Input[str]] = {
        # The driver takes user and password from PGUSER and PGPASSWORD: inside a URL they would have to be escaped.
        # TLS without verification of the CA, because the image does not contain RDS's.
        # Only the cluster's security group reaches the database.
        "DATABASE_URL": pulumi.Output.format(
            "postgresql://{0}:{1}/{2}?sslmode=require", database.endpoint, database.port, database.name
        ),
        "TEAL_SEARCH": "elasticsearch",
        "ELASTICSEARCH_URL": stores.search.url,
        "TEAL_ELASTICSEARCH_CA": f"{SECRETS_FOLDER}/{SEARCH_CA_FILE}",
        "TEAL_ELASTICSEARCH_SHARDS": str(config.search.shards),
        "TEAL_ELASTICSEARCH_REPLICAS": str(config.search.replicas),
        "TEAL_ELASTICSEARCH_REFRESH_INTERVAL": config.search.refresh_interval,
    }
    plain["TEAL_BACKUP_HOURS"] = (
        "0"  # SLM and RDS take them (teal:search.snapshot, teal:database.backup_days); infra/service/check.py tests them
    )
    # The service's default is a local model, which the image does not contain (app/Dockerfile).
    plain["TEAL_EMBEDDING"] = "bedrock" if models.embedding else "none"
    if models.embedding:
        plain["TEAL_EMBEDDING_MODEL"] = models.embedding
    if models.generation:
        plain |= {"TEAL_GENERATION": "bedrock", "TEAL_GENERATION_MODEL": models.generation}
    if config.load.mock_model:
        plain |= {
            "TEAL_GENERATION": "openai",
            "TEAL_GENERATION_MODEL": config.load.mock_model,
            "TEAL_OPENAI_BASE_URL": MOCK_MODEL_URL,
        }
    if config.alerts.otlp_endpoint:
        plain["OTEL_EXPORTER_OTLP_ENDPOINT"] = config.alerts.otlp_endpoint
    if config.web.auth == "none":
        plain["TEAL_AUTH"] = "false"
    secret = {
        "PGUSER": Reference(database.secret_arn, "username"),
        "PGPASSWORD": Reference(database.secret_arn, "password"),
        "REDIS_URL": Reference(stores.cache.secret_arn, "url"),
        "TEAL_ELASTICSEARCH_USERNAME": Reference(stores.search.credentials_secret_arn, "username"),
        "TEAL_ELASTICSEARCH_PASSWORD": Reference(stores.search.credentials_secret_arn, "password"),
        SEARCH_CA_FILE: Reference(stores.search.credentials_secret_arn, "ca_certificate"),
    }
    operator = {
        "TEAL_ELASTICSEARCH_USERNAME": Reference(stores.search.operator_secret_arn, "username"),
        "TEAL_ELASTICSEARCH_PASSWORD": Reference(stores.search.operator_secret_arn, "password"),
    }
    return PodSettings(plain, secret, operator, outside_ports(config))


def outside_ports(config: Config) -> list[int]:
    """Ports on the internet that this configuration calls: Bedrock, a collector of traces, and those that the file names."""
    ports = set(config.network.egress_ports)
    if config.models.generation or config.models.embedding:
        ports.add(443)
    if config.alerts.otlp_endpoint:
        address = urlsplit(config.alerts.otlp_endpoint)
        ports.add(address.port or (443 if address.scheme == "https" else 80))
    return sorted(ports)
