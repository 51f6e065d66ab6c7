"""The service program evaluated as `teal release` would run it: a record, and the outputs of the evaluated platform."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Literal

from infra.evaluation import evaluate as evaluation
from infra.evaluation.evaluate import ROOT, Evaluation, stack_values

Color = Literal["blue", "green"]
IMAGE = "123456789012.dkr.ecr.eu-central-1.amazonaws.com/teal@sha256:" + "ab" * 32


_SECRETS = "arn:aws:secretsmanager:eu-central-1:123456789012:secret"  # pragma: allowlist secret
_REFERENCES = (("DATABASE_PASSWORD", "db", "password"), ("search-ca.crt", "es", "ca"))


def platform_outputs(stack: str) -> dict[str, Any]:
    """What a platform exports, as far as a color reads it; for tests that must not wait for the platform program."""
    return {
        "region": "eu-central-1",
        "account_id": "123456789012",
        "environment": stack_values(stack)["teal:environment"],
        "url": "https://teal.example.com",
        "rule_arn": "arn:aws:elasticloadbalancing:eu-central-1:123456789012:listener-rule/app/teal/1/2/3",
        "probe_header": "X-Teal-Probe",
        "probe_secret_arns": {color: f"{_SECRETS}:probe-{color}" for color in ("blue", "green")},
        "operator_namespace": "teal-operator",
        "repository_url": "123456789012.dkr.ecr.eu-central-1.amazonaws.com/teal",
        "release_bucket": "teal-releases",
        "app_environment": {},
        "prometheus_query_url": "https://aps.example/api/v1/query",
        "vpc_cidr": "10.40.0.0/16",
        "cluster": {"name": f"teal-{stack}", "endpoint": "https://cluster.example", "ca_data": "Y2E="},
        "target_group_arns": {
            color: f"arn:aws:elasticloadbalancing:eu-central-1:123456789012:targetgroup/teal-{stack}-{color}/0123456789abcdef"
            for color in ("blue", "green")
        },
        "namespaces": {"blue": "teal-blue", "green": "teal-green"},
        "app_secrets": {name: {"secret_arn": f"{_SECRETS}:{held}", "key": key} for name, held, key in _REFERENCES},
        "service_defaults": dict(stack_values(stack)["teal:service"]),  # type: ignore[call-overload]
    }


def record(color: Color = "blue", **changed: Any) -> dict[str, Any]:
    """One color's entry of the release record."""
    config = {
        "TEAL_SEARCH": "elasticsearch",
        "ELASTICSEARCH_URL": "https://teal-es-http.search.svc:9200",
        "TEAL_EMBEDDING": "bedrock",
        "TEAL_GENERATION": "extractive",
    }
    return {
        "color": color,
        "release_id": "r-20261122-1",
        "image": IMAGE,
        "config": config,
        "secret_versions": {"DATABASE_PASSWORD": "v1"},  # pragma: allowlist secret
        "index": "teal",
        "schema_min": "0001",
        "schema_max": "0003",
        "replica_floor": 0,
        **changed,
    }


def evaluate(stack: str, outputs: Mapping[str, Any], color: Color = "blue", **changed: Any) -> Evaluation:
    """Run infra/service for one color of `stack`."""
    values = {
        "aws:region": "eu-central-1",
        "teal-service:record": json.dumps(record(color, **changed)),
        "teal-service:platform": json.dumps(dict(outputs)),
    }
    return evaluation.evaluate_program("teal-service", ROOT / "infra" / "service" / "__main__.py", f"{stack}-{color}", values)
