"""What keeps data: search, database, cache, the release record, and their backups."""

from __future__ import annotations

from dataclasses import dataclass

from contract import names
from contract.names import NAMESPACES, OPERATOR_NAMESPACE
from infra.compose.foundation import Foundation
from infra.config.read import Config
from infra.delivery.promotion import bucket_readers
from infra.platform.search.search import Search, SearchArgs
from infra.platform.stores.backup import Backup, BackupArgs
from infra.platform.stores.bucket import PrivateBucket, PrivateBucketArgs
from infra.platform.stores.cache import CacheArgs, CacheReplicationGroup
from infra.platform.stores.database import Database, DatabaseArgs
from infra.platform.stores.database_maintenance import Maintenance, MaintenanceArgs
from infra.platform.stores.restore_test import RestoreTest, RestoreTestArgs


@dataclass(frozen=True)
class Stores:
    """`releases`: the release record, releases and their evidence."""

    search: Search
    database: Database
    cache: CacheReplicationGroup
    releases: PrivateBucket
    backup: Backup


def build(config: Config, base: Foundation) -> Stores:
    """Create the stores. Each is encrypted, protected from deletion, and reachable only from the cluster's security group."""
    search = Search(
        "search",
        SearchArgs(
            prefix=config.prefix,
            region=config.region,
            account_id=base.account_id,
            config=config.search,
            network_zones=config.network.zones,
            storage_class=base.cluster.storage_class,
            kms_key_arn=base.keys.data_arn,
            oidc_provider_arn=base.cluster.oidc_provider_arn,
            oidc_issuer=base.cluster.oidc_issuer,
            provider=base.cluster.provider,
            client_namespaces=[*NAMESPACES.values(), OPERATOR_NAMESPACE],
            cidr=config.network.cidr,
            ready=base.cluster.ready,
        ),
        base.opts,
    )
    database = Database(
        "database",
        DatabaseArgs(
            prefix=config.prefix,
            config=config.database,
            vpc_id=base.network.vpc_id,
            subnet_ids=base.network.data_subnet_ids,
            client_security_group_id=base.cluster.security_group_id,
            kms_key_arn=base.keys.data_arn,
            logs_kms_key_arn=base.keys.logs_arn,
        ),
        base.opts,
    )
    Maintenance(
        "maintenance",
        MaintenanceArgs(
            prefix=config.prefix,
            region=config.region,
            cidr=config.network.cidr,
            schedule=config.database.maintenance_schedule,
            endpoint=database.endpoint,
            port=database.port,
            database=database.name,
            secret_arn=database.secret_arn,
            kms_key_arn=base.keys.data_arn,
            cluster_name=base.cluster.name,
            cluster_arn=base.cluster.arn,
            provider=base.cluster.provider,
            driver=base.secrets_driver.addon,
            ready=base.cluster.ready,
        ),
        base.opts,
    )
    cache = CacheReplicationGroup(
        "cache",
        CacheArgs(
            prefix=config.prefix,
            config=config.cache,
            vpc_id=base.network.vpc_id,
            subnet_ids=base.network.data_subnet_ids,
            client_security_group_id=base.cluster.security_group_id,
            kms_key_arn=base.keys.data_arn,
        ),
        base.opts,
    )
    backup = Backup(
        "backup",
        BackupArgs(
            prefix=config.prefix,
            region=config.region,
            account_id=base.account_id,
            database_arns=database.instance_arns,
            kms_key_arn=base.keys.data_arn,
            copy_to=config.backup.copy_to,
        ),
        base.opts,
    )
    RestoreTest(
        "restore-test",
        RestoreTestArgs(
            prefix=config.prefix,
            region=config.region,
            account_id=base.account_id,
            often=config.backup.restore_test,
            vault_arn=backup.vault_arn,
            database_arns=database.instance_arns,
            instance_class=config.database.instance_class,
            subnet_group=database.subnet_group,
            parameter_group=database.parameter_group,
            vpc_id=base.network.vpc_id,
            kms_key_arn=base.keys.data_arn,
        ),
        base.opts,
    )
    releases = PrivateBucket(
        "releases",
        PrivateBucketArgs(
            bucket=names.release_bucket(config.stack, base.account_id),
            kms_key_arn=base.keys.data_arn,
            statements=bucket_readers(base.here, base.reader) if base.reader else (),
        ),
        base.opts,
    )
    return Stores(search, database, cache, releases, backup)
