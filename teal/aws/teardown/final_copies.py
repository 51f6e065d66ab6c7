"""What RDS keeps of a database after its end: the final snapshot, and the automated backups that it retains. Only for `--delete-data`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from botocore.exceptions import ClientError

from teal.aws.names import StateNames
from teal.aws.session import Aws, is_missing, translate_aws_errors


def delete_final_snapshots(aws: Aws, names: StateNames) -> tuple[str, ...]:
    """Delete the final snapshots of this environment's databases; their names.

    Also before a deletion: a snapshot of an earlier environment has the name that the next one's needs, and RDS would refuse.
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
    """Delete the automated backups of databases that are gone; their ARNs. Those of a running database go with it and are left."""
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
    """A restored database has a suffix of its own (infra/platform/stores/database.py)."""
    identifier = str(row["DBInstanceIdentifier"])
    return identifier == names.database or identifier.startswith(f"{names.database}-")


def _unless_gone(delete: Any, **arguments: str) -> None:
    try:
        delete(**arguments)
    except ClientError as error:
        if not is_missing(error):
            raise
