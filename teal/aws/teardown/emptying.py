"""Makes resources deletable that AWS refuses to delete: full buckets, vaults and repositories, and protected ones.
Data only with `--delete-data`."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

from botocore.exceptions import ClientError

from teal.aws.pulumi.cli import StateResource
from teal.aws.session import Aws, is_missing, translate_aws_errors
from teal.errors import NeedsHuman

_ASK_AGAIN_SECONDS: Final = 10.0
# 15 min: AWS deletes recovery points gradually, with no stated limit, and only an empty vault can be deleted
_VAULT_TRIES: Final = 90
_IMAGE_PASSES: Final = 3  # first an image index, then the images it names, then their signatures
Pause = Callable[[float], None]


def open_up(aws: Aws, resources: Iterable[StateResource], pause: Pause = time.sleep) -> None:
    """Make each resource deletable; skips those that are gone already. Objects, versions, copies and images are lost.

    Waits for a vault's recovery points to be gone, 15 min at most; then raises NeedsHuman.
    """
    for resource in resources:
        act = _ACTS.get(resource.type)
        if act is not None:
            with translate_aws_errors(f"Emptying {resource.name}", resource.id):
                try:
                    act(aws, resource, pause)
                except ClientError as error:
                    if not is_missing(error):
                        raise


def _bucket(aws: Aws, resource: StateResource, _pause: Pause) -> None:
    client = aws.s3
    for page in client.get_paginator("list_object_versions").paginate(Bucket=resource.id):
        for rows in (page.get("Versions", []), page.get("DeleteMarkers", [])):
            named = [{"Key": row["Key"], "VersionId": row["VersionId"]} for row in rows]
            if named:
                answer = client.delete_objects(Bucket=resource.id, Delete={"Objects": named, "Quiet": True})  # type: ignore[typeddict-item]
                if kept := answer.get("Errors"):  # errors inside a successful response
                    raise NeedsHuman(f"{len(kept)} objects can not be deleted, such as {kept[0].get('Key')}: {kept[0].get('Message')}",
                                     where=resource.id, next="see to that, then run this again")  # fmt: skip


def _database(aws: Aws, resource: StateResource, _pause: Pause) -> None:
    identifier = str(resource.outputs.get("identifier") or resource.id)
    aws.connect("rds").modify_db_instance(DBInstanceIdentifier=identifier, DeletionProtection=False, ApplyImmediately=True)


def _vault(aws: Aws, resource: StateResource, pause: Pause) -> None:
    client = aws.connect("backup")
    client.delete_backup_vault_lock_configuration(BackupVaultName=resource.id)  # a locked vault keeps its recovery points
    for _ in range(_VAULT_TRIES):
        pages = client.get_paginator("list_recovery_points_by_backup_vault").paginate(BackupVaultName=resource.id)
        points = [one for page in pages for one in page["RecoveryPoints"]]
        if not points:
            return
        for point in points:  # a point that was still being made at the first try is deleted at a later one
            if point.get("Status") not in ("DELETING", "CREATING"):
                client.delete_recovery_point(BackupVaultName=resource.id, RecoveryPointArn=point["RecoveryPointArn"])
        pause(_ASK_AGAIN_SECONDS)
    raise NeedsHuman(
        f"{len(points)} recovery points are still in the vault, such as {points[0]['RecoveryPointArn']}: {points[0].get('Status')}",
        where=resource.id,
        next=f"aws backup list-recovery-points-by-backup-vault --backup-vault-name {resource.id}, then run this again",
    )


def _repository(aws: Aws, resource: StateResource, _pause: Pause) -> None:
    """Delete all images of a repository. AWS refuses an image that an index names until the index is gone,
    so this takes several passes."""
    client = aws.connect("ecr")
    kept: list[Any] = []
    for _ in range(_IMAGE_PASSES):
        pages = client.get_paginator("list_images").paginate(repositoryName=resource.id)
        images = [page["imageIds"] for page in pages if page["imageIds"]]
        if not images:
            return
        kept = [
            row
            for some in images
            for row in client.batch_delete_image(repositoryName=resource.id, imageIds=some).get("failures", [])
        ]
    if kept:
        raise NeedsHuman(f"{len(kept)} images can not be deleted: {kept[0].get('failureReason')}", where=resource.id,
                         next=f"aws ecr list-images --repository-name {resource.id}, then run this again")  # fmt: skip


def take_protection_off(aws: Aws, resources: Iterable[StateResource]) -> None:
    """Turn off AWS's deletion protection of resources without data, so that a requested tear-down can finish."""
    for resource in resources:
        with translate_aws_errors(f"Taking the protection from {resource.name}", resource.id):
            try:
                if resource.type == "aws:lb/loadBalancer:LoadBalancer":
                    off = [{"Key": "deletion_protection.enabled", "Value": "false"}]
                    aws.connect("elbv2").modify_load_balancer_attributes(LoadBalancerArn=resource.id, Attributes=off)
                elif resource.type == "aws:eks/cluster:Cluster":
                    aws.eks.update_cluster_config(name=resource.id, deletionProtection=False)
            except ClientError as error:
                if not is_missing(error):
                    raise


_ACTS: Mapping[str, Callable[[Aws, StateResource, Pause], Any]] = {
    "aws:s3/bucket:Bucket": _bucket,
    "aws:rds/instance:Instance": _database,
    "aws:backup/vault:Vault": _vault,
    "aws:ecr/repository:Repository": _repository,
}
