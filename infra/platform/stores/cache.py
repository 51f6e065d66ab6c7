"""The shared cache for answers, limits and sessions. Its content may be lost, because it is no system of record."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

import pulumi
import pulumi_random as random
from pulumi_aws import elasticache, secretsmanager

from infra.config.sections import CacheConfig
from infra.platform.network.store_access import from_cluster_only

# Valkey speaks Redis' protocol. Family `valkey8` is in botocore's model of ElastiCache; that 8.0 is on offer is unverified.
ENGINE: Final = "valkey"
ENGINE_VERSION: Final = "8.0"
FAMILY: Final = "valkey8"
PORT: Final = 6379
TOKEN_CHARACTERS: Final = 64  # ElastiCache takes 16 to 128; letters and digits only, so the token needs no escaping in a URL
RECOVERY_DAYS: Final = 0  # Pulumi makes the value again; a name with a pending deletion would fail the next `up`


class CacheParameter(NamedTuple):
    """One engine setting and its reason."""

    name: str
    value: str
    why: str


PARAMETERS: Final = (
    CacheParameter("maxmemory-policy", "allkeys-lfu", "a full cache drops what is asked for least, instead of refusing writes"),
    CacheParameter("timeout", "600", "s; connections of pods that died without closing go away"),
    CacheParameter("tcp-keepalive", "60", "s; notices peers that vanished"),
)


@dataclass(frozen=True)
class CacheArgs:
    """`client_security_group_id`: the cluster's, the only source that may connect."""

    prefix: str
    config: CacheConfig
    vpc_id: pulumi.Input[str]
    subnet_ids: pulumi.Input[Sequence[pulumi.Input[str]]]
    client_security_group_id: pulumi.Input[str]
    kms_key_arn: pulumi.Input[str]


class CacheReplicationGroup(pulumi.ComponentResource):
    """One shard with `replicas` in other zones, TLS and a token, and automatic failover if there is a replica.
    Without snapshots, as it is a cache.

    Cost: the node's price times 1 + `replicas`.
    """

    endpoint: pulumi.Output[str]
    port: int
    secret_arn: pulumi.Output[str]  # {"auth_token", "url"}; the URL is rediss:// with the token in it
    replication_group_id: pulumi.Output[str]
    security_group_id: pulumi.Output[str]

    def __init__(self, name: str, args: CacheArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("teal:infra:Cache", name, None, opts)
        child = pulumi.ResourceOptions(parent=self)
        identifier = f"{args.prefix}-cache"
        group = from_cluster_only(
            name,
            identifier,
            "Valkey, from the cluster only",
            port=PORT,
            vpc_id=args.vpc_id,
            client_security_group_id=args.client_security_group_id,
            child=child,
        )
        subnets = elasticache.SubnetGroup(name, name=identifier, subnet_ids=args.subnet_ids, opts=child)
        settings = elasticache.ParameterGroup(
            name,
            name=f"{identifier}-{FAMILY}",
            family=FAMILY,
            parameters=[{"name": one.name, "value": one.value} for one in PARAMETERS],
            opts=child,
        )
        token = random.RandomPassword(name, length=TOKEN_CHARACTERS, special=False, opts=child)
        standby = args.config.replicas > 0
        replication = elasticache.ReplicationGroup(
            name,
            replication_group_id=identifier,
            description=f"{args.prefix}: answers, limits, sessions",
            engine=ENGINE,
            engine_version=ENGINE_VERSION,
            node_type=args.config.node_type,
            num_cache_clusters=1 + args.config.replicas,
            automatic_failover_enabled=standby,
            multi_az_enabled=standby,
            port=PORT,
            parameter_group_name=settings.name,
            subnet_group_name=subnets.name,
            security_group_ids=[group.id],
            transit_encryption_enabled=True,
            at_rest_encryption_enabled=True,
            kms_key_id=args.kms_key_arn,
            auth_token=token.result,
            auth_token_update_strategy="ROTATE",  # noqa: S106  # no secret: the old token stays valid until pods have the new one
            snapshot_retention_limit=0,
            maintenance_window="sun:04:00-sun:05:00",
            auto_minor_version_upgrade=True,
            apply_immediately=args.config.apply_immediately,
            # AWS upgrades the minor version; the number written here would then be a downgrade,
            # which replaces a protected resource.
            opts=pulumi.ResourceOptions(parent=self, protect=True, ignore_changes=["engineVersion"]),
        )
        secret = secretsmanager.Secret(
            name,
            name=f"{args.prefix}/cache",
            description="Token and address of the cache",
            kms_key_id=args.kms_key_arn,
            recovery_window_in_days=RECOVERY_DAYS,
            opts=pulumi.ResourceOptions(parent=self, protect=True),
        )
        endpoint = replication.primary_endpoint_address
        secretsmanager.SecretVersion(
            name,
            secret_id=secret.id,
            secret_string=pulumi.Output.secret(
                pulumi.Output.json_dumps(
                    {
                        "auth_token": token.result,
                        "url": pulumi.Output.format("rediss://:{0}@{1}:{2}/0", token.result, endpoint, PORT),
                    }
                )
            ),
            opts=child,
        )
        self.endpoint, self.port, self.secret_arn = endpoint, PORT, secret.arn
        self.replication_group_id, self.security_group_id = replication.id, group.id
        self.register_outputs({"endpoint": self.endpoint, "secret_arn": self.secret_arn})
