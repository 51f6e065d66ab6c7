"""Opening what AWS itself keeps shut: full buckets, vaults and repositories, and a database that refuses deletion. Only for `--delete-data`."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from botocore.exceptions import ClientError

from teal.aws.pulumi_cli import StateResource
from teal.aws.session import Aws, missing, told


def open_up(aws: Aws, resources: Iterable[StateResource]) -> None:
    """Make each resource one that can be deleted; what is gone already is none. Objects, versions, copies and images are lost."""
    for resource in resources:
        act = _ACTS.get(resource.type)
        if act is not None:
            with told(f"Emptying {resource.name}", resource.id):
                try:
                    act(aws, resource)
                except ClientError as error:
                    if not missing(error):
                        raise


def _bucket(aws: Aws, resource: StateResource) -> None:
    client = aws.s3
    for page in client.get_paginator("list_object_versions").paginate(Bucket=resource.id):
        for rows in (page.get("Versions", []), page.get("DeleteMarkers", [])):
            named = [{"Key": row["Key"], "VersionId": row["VersionId"]} for row in rows]
            if named:
                client.delete_objects(Bucket=resource.id, Delete={"Objects": named, "Quiet": True})  # type: ignore[typeddict-item]


def _database(aws: Aws, resource: StateResource) -> None:
    identifier = str(resource.outputs.get("identifier") or resource.id)
    aws.connect("rds").modify_db_instance(DBInstanceIdentifier=identifier, DeletionProtection=False, ApplyImmediately=True)


def _vault(aws: Aws, resource: StateResource) -> None:
    client = aws.connect("backup")
    pages = client.get_paginator("list_recovery_points_by_backup_vault").paginate(BackupVaultName=resource.id)
    for point in [one for page in pages for one in page["RecoveryPoints"]]:
        client.delete_recovery_point(BackupVaultName=resource.id, RecoveryPointArn=point["RecoveryPointArn"])


def _repository(aws: Aws, resource: StateResource) -> None:
    client = aws.connect("ecr")
    for page in client.get_paginator("list_images").paginate(repositoryName=resource.id):
        if page["imageIds"]:
            client.batch_delete_image(repositoryName=resource.id, imageIds=page["imageIds"])


_ACTS: Mapping[str, Callable[[Aws, StateResource], Any]] = {
    "aws:s3/bucket:Bucket": _bucket,
    "aws:rds/instance:Instance": _database,
    "aws:backup/vault:Vault": _vault,
    "aws:ecr/repository:Repository": _repository,
}
