"""Deletes what RDS keeps of a deleted database: the final snapshot, and the retained automated backups.
Only with `--delete-data`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from botocore.exceptions import ClientError

from teal.aws.names import StateNames
from teal.aws.session import Aws, is_missing, translate_aws_errors


def delete_final_snapshots(aws: Aws, names: StateNames) -> tuple[str, ...]:
    """Delete the final snapshots of this environment's databases; returns their names.

    Also called before a deletion: RDS refuses a final snapshot whose name an earlier environment's snapshot has.
    """
    rds = aws.connect("rds")
    deleted: list[str] = []
    with translate_aws_errors("Deleting final snapshots", names.database):
        for page in rds.get_paginator("describe_db_snapshots").paginate(SnapshotType="manual"):
            for row in page["DBSnapshots"]:
                name = str(row["DBSnapshotIdentifier"])
                if _ours(row, names) and name == f"{row['DBInstanceIdentifier']}-final":
                    _unless_gone(rds.delete_db_snapshot, DBSnapshotIdentifier=name)
                    deleted.append(name)
    return tuple(deleted)


def delete_retained_backups(aws: Aws, names: StateNames) -> tuple[str, ...]:
    """Delete the automated backups of deleted databases; returns their ARNs.
    A running database's backups are deleted with it, and left here."""
    rds = aws.connect("rds")
    deleted: list[str] = []
    with translate_aws_errors("Deleting retained backups", names.database):
        for page in rds.get_paginator("describe_db_instance_automated_backups").paginate():
            for row in page["DBInstanceAutomatedBackups"]:
                if _ours(row, names) and row["Status"] == "retained":
                    arn = str(row["DBInstanceAutomatedBackupsArn"])
                    _unless_gone(rds.delete_db_instance_automated_backup, DBInstanceAutomatedBackupsArn=arn)
                    deleted.append(arn)
    return tuple(deleted)


def _ours(row: Mapping[str, Any], names: StateNames) -> bool:
    """Whether the row is this environment's; a restored database's name has a suffix (infra/platform/stores/database.py)."""
    identifier = str(row["DBInstanceIdentifier"])
    return identifier == names.database or identifier.startswith(f"{names.database}-")


def _unless_gone(delete: Any, **arguments: str) -> None:
    try:
        delete(**arguments)
    except ClientError as error:
        if not is_missing(error):
            raise
