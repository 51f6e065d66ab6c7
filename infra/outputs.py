"""The stack's outputs: the contract with `infra.service` and `teal`. They contain no secret; secrets are named by ARN and key."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pulumi

from contract.names import OPERATOR_NAMESPACE
from infra.compose.foundation import Foundation
from infra.compose.ingress import Ingress
from infra.compose.operations import Operations
from infra.compose.stores import Stores
from infra.config.read import Config


def stack_outputs(
    config: Config, base: Foundation, ingress: Ingress, stores: Stores, operations: Operations
) -> Mapping[str, pulumi.Input[Any]]:
    """Outputs by name; `app_environment` and `app_secrets` go into every release's record."""
    cluster, web = base.cluster, ingress.balancer
    return {
        "region": config.region,
        "account_id": base.account_id,
        "environment": config.environment,
        "vpc_cidr": base.network.cidr,
        "cluster": {"name": cluster.name, "endpoint": cluster.endpoint, "ca_data": cluster.ca_data},
        "url": web.url,
        "load_balancer_dns_name": web.dns_name,  # without `web.hosted_zone_id` a person points the domain to it
        "rule_arn": web.rule_arn,
        "target_group_arns": web.target_group_arns,
        "probe_header": web.probe_header,
        "probe_secret_arns": web.probe_secret_arns,
        "namespaces": operations.colors.namespaces,
        "operator_namespace": OPERATOR_NAMESPACE,
        "repository_url": operations.delivery.repository_url,
        "release_bucket": stores.releases.name,
        "app_environment": operations.settings.plain,
        "app_secrets": {name: {"secret_arn": one.arn, "key": one.key} for name, one in operations.settings.secret.items()},
        "role_arns": operations.delivery.role_arns,
        "topic_arn": operations.observability.topic_arn,
        "prometheus_query_url": operations.observability.prometheus_query_url,
        "service_defaults": config.service.model_dump(mode="json"),
    }
