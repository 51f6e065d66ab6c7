"""How the service gets here and how it is watched: autoscaling, the colors' ground, images and roles, alerts."""

from __future__ import annotations

from dataclasses import dataclass

import pulumi

from infra import service_settings
from infra.components.alarms import Watched
from infra.components.autoscaling import Autoscaling, AutoscalingArgs
from infra.components.colors import NAMESPACES, Colors, ColorsArgs
from infra.components.delivery import Delivery, DeliveryArgs
from infra.components.delivery_policies import Where
from infra.components.load_test import LoadTest, LoadTestArgs
from infra.components.observability import Observability, ObservabilityArgs
from infra.components.preview_access import PreviewAccess, PreviewAccessArgs
from infra.components.search_exporter import SearchExporter, SearchExporterArgs
from infra.config import Config
from infra.edge import Edge
from infra.foundation import Foundation
from infra.stores import Stores


@dataclass(frozen=True)
class Operations:
    """`settings` and `secrets` are what every pod of every color gets."""

    colors: Colors
    delivery: Delivery
    observability: Observability
    settings: service_settings.Settings


def build(config: Config, base: Foundation, edge: Edge, stores: Stores) -> Operations:
    """Last, because it names what all the others made."""
    cluster, database = base.cluster, stores.database
    settings = service_settings.of(config, stores)
    colors = Colors(
        "colors",
        ColorsArgs(
            prefix=config.prefix,
            region=config.region,
            account_id=base.account_id,
            cluster_name=cluster.name,
            cluster_arn=cluster.arn,
            provider=cluster.provider,
            secrets=settings.secret,
            operator_secrets=settings.operator,
            probe_secret_arns=edge.balancer.probe_secret_arns,
            kms_key_arn=base.keys.data_arn,
            model_ids=[model for model in (config.models.generation, config.models.embedding) if model],
            ready=[*cluster.ready, base.secrets_driver.addon],
        ),
        base.opts,
    )
    Autoscaling(
        "autoscaling",
        AutoscalingArgs(
            prefix=config.prefix,
            cluster_name=cluster.name,
            cluster_arn=cluster.arn,
            provider=cluster.provider,
            region=config.region,
            cidr=config.network.cidr,
            database_host=database.endpoint,
            database_port=database.port,
            database_name=database.name,
            database_secret_arn=database.secret_arn,
            kms_key_arn=base.keys.data_arn,
            watched=list(NAMESPACES.values()),
            ready=[*cluster.ready, *colors.resources],
        ),
        base.opts,
    )
    observability = Observability(
        "observability",
        ObservabilityArgs(
            prefix=config.prefix,
            region=config.region,
            account_id=base.account_id,
            topics_key_arn=base.keys.topics_arn,
            logs_key_arn=base.keys.logs_arn,
            log_days=config.cluster.log_days,
            email=config.alerts.email,
            budget_usd=config.budget_usd,
            cluster_arn=cluster.arn,
            cluster_security_group_id=cluster.security_group_id,
            subnet_ids=base.network.private_subnet_ids,
            watched=_watched(config, base, edge, stores),
            ready=cluster.ready,
        ),
        base.opts,
    )
    SearchExporter(
        "search-metrics",
        SearchExporterArgs(config.network.cidr, cluster.provider, [*cluster.ready, *stores.search.resources]),
        base.opts,
    )
    delivery = Delivery(
        "delivery",
        DeliveryArgs(
            where=where(config, base.account_id),
            roles=base.github,
            images_key_arn=base.keys.images_arn,
            data_key_arn=base.keys.data_arn,
            rule_arn=edge.balancer.rule_arn,
            cluster_name=cluster.name,
            cluster_arn=cluster.arn,
            release_bucket_arn=stores.releases.arn,
            workspace_arn=observability.workspace_arn,
            probe_secret_arns=[edge.balancer.probe_secret_arns[color] for color in NAMESPACES],
            app_secret_arns=[database.secret_arn, stores.cache.secret_arn, stores.search.credentials_secret_arn],
        ),
        base.opts,
    )
    if config.load.workers and config.load.image:
        args = LoadTestArgs(edge.balancer.url, config.load.image, config.load.workers, cluster.provider, cluster.ready)
        LoadTest("load", args, base.opts)
    PreviewAccess("preview-access", PreviewAccessArgs(cluster.provider, [*cluster.ready, *stores.search.resources]), base.opts)
    return Operations(colors, delivery, observability, settings)


def where(config: Config, account_id: str) -> Where:
    """The state's bucket and keys, by the names that `teal bootstrap` gives them (teal/aws/names.py; a test holds the two together)."""
    return Where(
        stack=config.stack,
        prefix=config.prefix,
        region=config.region,
        account_id=account_id,
        state_bucket=f"{config.prefix}-state-{account_id}",
        platform_key_alias=f"alias/{config.prefix}-state-platform",
        color_key_alias=f"alias/{config.prefix}-state-colors",
    )


def _watched(config: Config, base: Foundation, edge: Edge, stores: Stores) -> Watched:
    return Watched(
        load_balancer_suffix=edge.balancer.arn_suffix,
        target_group_suffixes=edge.balancer.target_group_suffixes,
        database_id=stores.database.instance_id,
        database_class=config.database.instance_class,
        cache_group_id=stores.cache.replication_group_id,
        cache_nodes=1 + config.cache.replicas,
        cluster_name=base.cluster.name,
        certificate_arn=pulumi.Output.from_input(edge.certificate_arn),
    )
