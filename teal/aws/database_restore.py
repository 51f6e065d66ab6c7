"""Restores the database on AWS to a moment: RDS's point-in-time recovery makes a new instance beside the running one,
as the stack's file says.

This module makes nothing on AWS; it writes one line into the stack's file. The line in `Pulumi.<stack>.yaml` is reviewed and
committed like every other; `pulumi up` makes the instance, and a release with an index of its own moves the service to it. Until
that release no color uses the new instance, and a rollback of it leaves the new instance again.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from teal.aws.platform import Platform
from teal.aws.session import translate_aws_errors
from teal.aws.stack_file import StackFile, normalise_text, read_unchanged, replace_text
from teal.errors import BadInput

if TYPE_CHECKING:
    from mypy_boto3_rds import RDSClient

_SECTION: Final = re.compile(r"^  teal:database:[ \t]*$", re.MULTILINE)
_LINE: Final = re.compile(r"^    restore_from: \{[^}\n]*\}[ \t]*\n", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Recovery:
    """`source` as it was at `time`; RDS can go back to any moment from `earliest` to `latest`."""

    source: str
    time: datetime
    earliest: datetime
    latest: datetime

    @property
    def line(self) -> str:
        """The line of the stack's file that asks for this recovery."""
        return f'    restore_from: {{source: {self.source}, time: "{self.time:%Y-%m-%dT%H:%M:%SZ}"}}\n'


def recovery(rds: RDSClient, platform: Platform, at: datetime | None) -> Recovery:
    """The recovery of the database that releases use now to `at` (default: the latest moment RDS offers).
    Raises BadInput outside RDS's window."""
    source = instance_of(platform)
    with translate_aws_errors("DescribeDBInstanceAutomatedBackups", source):
        kept = rds.describe_db_instance_automated_backups(DBInstanceIdentifier=source)["DBInstanceAutomatedBackups"]
    window = next((one["RestoreWindow"] for one in kept if "RestoreWindow" in one), None)
    if window is None:
        raise BadInput("RDS keeps no backups of this instance that it could go back in", where=source,
                       next=f"aws rds describe-db-instance-automated-backups --db-instance-identifier {source}")  # fmt: skip
    earliest, latest = window["EarliestTime"], window["LatestTime"]
    time = (at or latest).astimezone(UTC).replace(microsecond=0)
    if not earliest <= time <= latest:
        raise BadInput(f"RDS can go back to moments from {earliest:%Y-%m-%dT%H:%M:%SZ} to {latest:%Y-%m-%dT%H:%M:%SZ}", where=source,
                       next=f"teal restore --at {latest:%Y-%m-%dT%H:%M:%SZ} ...")  # fmt: skip
    return Recovery(source, time, earliest, latest)


def instance_of(platform: Platform) -> str:
    """The identifier is the first part of an instance's address."""
    return (urlsplit(platform.app_environment["DATABASE_URL"]).hostname or "").partition(".")[0]


def write_restore_line(file: StackFile, found: Recovery) -> None:
    """Put the line under `teal:database:`, in place of an earlier one.
    The rest of the file is unchanged, and the file is replaced atomically."""
    before = read_unchanged(file.path)
    text = _LINE.sub("", normalise_text(before))
    section = _SECTION.search(text)
    if section is None or re.search(r"^    restore_from:", text, re.MULTILINE):
        raise BadInput("The line can not be put under teal:database: by this command", where=str(file.path),
                       next=f"write it there yourself: {found.line.strip()}")  # fmt: skip
    place = section.end() + 1
    replace_text(file.path, text[:place] + found.line + text[place:], like=before)


def following(file: StackFile, image: str) -> tuple[str, ...]:
    """The commands that the operator runs next, in order."""
    return (
        f"git diff {file.path.name}, then commit it",
        f"teal plan {file.stack} && pulumi up --stack {file.stack}   # the instance, beside the running one: half an hour and more",
        f"teal release --stack {file.stack} --image {image} --reindex   # moves the service to it, with search as this catalog says",
        f"keep_source: false in {file.path.name}, once it is proven",
    )
