"""The components for releases and their monitoring:
autoscaling, each color's namespace and rights, the registry, GitHub's roles, alerts."""

from __future__ import annotations

from dataclasses import dataclass

import pulumi

from contract.color import COLORS
from contract.names import NAMESPACES
from infra.compose import settings as service_settings
from infra.compose.foundation import Foundation, state_bucket
from infra.compose.ingress import Ingress
from infra.compose.stores import Stores
from infra.config.read import Config
from infra.delivery.policies import StateLocation
from infra.delivery.preview_access import PreviewAccess, PreviewAccessArgs
from infra.delivery.promotion import place_of
from infra.delivery.registry import Delivery, DeliveryArgs
from infra.observability.alarms import WatchedResources
from infra.observability.monitoring import Observability, ObservabilityArgs
from infra.observability.reminders import Reminders, RemindersArgs
from infra.platform.cluster.autoscaling import Autoscaling, AutoscalingArgs
from infra.platform.cluster.colors import Colors, ColorsArgs
from infra.platform.cluster.load_test import NAMESPACE as LOAD_NAMESPACE
from infra.platform.cluster.load_test import LoadTestArgs, LocustDeployment
from infra.platform.ingress.watchdog import WatchdogArgs, WatchdogFunction
from infra.platform.network.namespaces import NetworkReach
from infra.platform.search.exporter import SearchExporter, SearchExporterArgs


@dataclass(frozen=True)
class Operations:
    """The components. `settings` and `secrets` go to every pod of every color."""

    colors: Colors
    delivery: Delivery
    observability: Observability
    settings: service_settings.PodSettings


def build(config: Config, base: Foundation, ingress: Ingress, stores: Stores) -> Operations:
    """Create the components. Called last, because they need those of the other modules of this folder."""
    cluster, database = base.cluster, stores.database
    settings = service_settings.pod_settings(config, stores)
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
            probe_secret_arns=ingress.balancer.probe_secret_arns,
            repository=repository_name(config, base.account_id),
            reach=NetworkReach(
                config.network.cidr, stores.search.namespace, settings.ports, LOAD_NAMESPACE if config.load.mock_model else None
            ),
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
            watched=_watched(config, base, ingress, stores),
            ready=cluster.ready,
        ),
        base.opts,
    )
    Reminders("reminders", RemindersArgs(config.prefix, observability.topic_arn, base.keys.topics_arn), base.opts)
    WatchdogFunction("watchdog", _watchdog(config, base, ingress, stores), base.opts)
    SearchExporter(
        "search-metrics",
        SearchExporterArgs(config.network.cidr, cluster.provider, [*cluster.ready, *stores.search.resources]),
        base.opts,
    )
    delivery = Delivery(
        "delivery",
        DeliveryArgs(
            where=state_location(config, base.account_id),
            roles=base.github,
            images_key_arn=base.keys.images_arn,
            data_key_arn=base.keys.data_arn,
            rule_arn=ingress.balancer.rule_arn,
            cluster_name=cluster.name,
            cluster_arn=cluster.arn,
            release_bucket_arn=stores.releases.arn,
            workspace_arn=observability.workspace_arn,
            probe_secret_arns=[ingress.balancer.probe_secret_arns[color] for color in NAMESPACES],
            key_arns=base.keys.arns,
            hosted_zone_id=config.web.hosted_zone_id,
            app_secret_arns=[database.secret_arn, stores.cache.secret_arn, stores.search.credentials_secret_arn],
            topic_arns=sorted({one.to for one in config.releases.notifications if one.send == "sns"}),
            promoted_from=place_of(config.promotion.promoted_from, base.account_id, config.region),
            reader=base.reader,
        ),
        base.opts,
    )
    if config.load.workers and config.load.image:
        args = LoadTestArgs(
            url=ingress.balancer.url,
            image=config.load.image,
            workers=config.load.workers,
            cidr=config.network.cidr,
            provider=cluster.provider,
            ready=cluster.ready,
            callers_of_mock_model=list(NAMESPACES.values()) if config.load.mock_model else (),
        )
        LocustDeployment("load", args, base.opts)
    if base.github:
        PreviewAccess(
            "preview-access", PreviewAccessArgs(cluster.provider, [*cluster.ready, *stores.search.resources]), base.opts
        )
    return Operations(colors, delivery, observability, settings)


def state_location(config: Config, account_id: str) -> StateLocation:
    """The state's bucket and keys, by the names that `teal bootstrap` gives them (teal/aws/names.py; a test holds the two together)."""
    return StateLocation(
        stack=config.stack,
        prefix=config.prefix,
        region=config.region,
        account_id=account_id,
        state_bucket=state_bucket(config, account_id),
        platform_key_alias=f"alias/{config.prefix}-state-platform",
        color_key_alias=f"alias/{config.prefix}-state-colors",
    )


def _watchdog(config: Config, base: Foundation, ingress: Ingress, stores: Stores) -> WatchdogArgs:
    balancer = ingress.balancer
    return WatchdogArgs(
        prefix=config.prefix,
        stack=config.stack,
        region=config.region,
        account_id=base.account_id,
        rule_arn=balancer.rule_arn,
        load_balancer_suffix=balancer.arn_suffix,
        target_groups={color: (balancer.target_group_arns[color], balancer.target_group_suffixes[color]) for color in COLORS},
        release_bucket=stores.releases.name,
        release_bucket_arn=stores.releases.arn,
        data_key_arn=base.keys.data_arn,
        logs_key_arn=base.keys.logs_arn,
    )


def _watched(config: Config, base: Foundation, ingress: Ingress, stores: Stores) -> WatchedResources:
    return WatchedResources(
        load_balancer_suffix=ingress.balancer.arn_suffix,
        target_group_suffixes=ingress.balancer.target_group_suffixes,
        database_id=stores.database.instance_id,
        database_class=config.database.instance_class,
        cache_group_id=stores.cache.replication_group_id,
        cache_nodes=1 + config.cache.replicas,
        cluster_name=base.cluster.name,
        vault_name=stores.backup.vault_name,
        stack=config.stack,
        watchdog=f"{config.prefix}-watchdog",
        copies=config.backup.copy_to is not None,
        certificate_arn=pulumi.Output.from_input(ingress.certificate_arn),
    )


def repository_name(config: Config, account_id: str) -> str:
    """The registry's repository of this stack, known before it exists."""
    return f"{account_id}.dkr.ecr.{config.region}.amazonaws.com/{config.prefix}"
