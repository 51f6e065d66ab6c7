"""The database on AWS goes back by a reviewed line in the stack's file; nothing is made by the command."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, ClassVar

import boto3
import pytest
import yaml
from botocore.stub import Stubber

from infra.config.sections import DatabaseConfig
from teal.aws import database_restore, stack_file
from teal.aws.database_restore import Recovery
from teal.errors import BadInput

PROJECT = Path(__file__).resolve().parents[4]
LATEST = datetime(2026, 11, 25, 12, 0, 5, tzinfo=UTC)
EARLIEST = LATEST - timedelta(days=35)


class _Platform:  # what `teal.aws.platform` reads
    app_environment: ClassVar = {
        "DATABASE_URL": "postgresql://teal-prod-db.abc123.eu-central-1.rds.amazonaws.com:5432/teal?sslmode=require"
    }


def recovery(at: datetime | None, windows: list[dict[str, Any]]) -> Recovery:
    client = boto3.client("rds", region_name="eu-central-1", aws_access_key_id="x", aws_secret_access_key="x")
    with Stubber(client) as stubber:  # checks request and answer against botocore's model of the API
        backups = [{"DBInstanceIdentifier": "teal-prod-db", **({"RestoreWindow": one} if one else {})} for one in windows]
        stubber.add_response(
            "describe_db_instance_automated_backups",
            {"DBInstanceAutomatedBackups": backups},
            {"DBInstanceIdentifier": "teal-prod-db"},
        )
        return database_restore.recovery(client, _Platform(), at)  # type: ignore[arg-type]


WINDOW = [{"EarliestTime": EARLIEST, "LatestTime": LATEST}]


def test_without_a_time_it_is_the_last_moment_that_rds_can_go_back_to() -> None:
    assert recovery(None, WINDOW) == Recovery("teal-prod-db", LATEST, EARLIEST, LATEST)


@pytest.mark.parametrize("at", [LATEST + timedelta(seconds=1), EARLIEST - timedelta(days=1)])
def test_a_moment_outside_the_window_is_refused_with_the_window(at: datetime) -> None:
    with pytest.raises(BadInput, match="from 2026-10-21T12:00:05Z to 2026-11-25T12:00:05Z"):
        recovery(at, WINDOW)


@pytest.mark.parametrize("windows", [[], [{}]])
def test_an_instance_without_backups_is_said(windows: list[dict[str, Any]]) -> None:
    with pytest.raises(BadInput, match="keeps no backups"):
        recovery(None, windows)


@pytest.mark.parametrize("stack", ["dev", "staging", "prod"])
def test_the_line_is_what_the_program_reads_and_the_rest_of_the_file_stays(tmp_path: Path, stack: str) -> None:
    path = tmp_path / f"Pulumi.{stack}.yaml"
    before = (PROJECT / path.name).read_text(encoding="utf-8")
    path.write_text(before, encoding="utf-8")
    file = stack_file.read_stack_file(tmp_path, stack)
    for hours in (1, 2):  # the second line replaces the first
        found = Recovery(f"teal-{stack}-db", LATEST - timedelta(hours=hours), EARLIEST, LATEST)
        database_restore.write_restore_line(file, found)
    written = path.read_text(encoding="utf-8")
    assert written.replace(found.line, "") == before
    section = yaml.safe_load(written)["config"]["teal:database"]
    config = DatabaseConfig(**section)
    assert config.restore_from is not None
    assert (config.restore_from.source, config.restore_from.time) == (f"teal-{stack}-db", "2026-11-25T10:00:05Z")


def test_a_file_of_another_form_is_not_changed(tmp_path: Path) -> None:
    path = tmp_path / "Pulumi.odd.yaml"
    text = "config:\n  aws:region: eu-central-1\n  teal:database:\n    restore_from:\n      source: x\n"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(BadInput, match="can not be put"):
        database_restore.write_restore_line(stack_file.read_stack_file(tmp_path, "odd"), Recovery("a", LATEST, EARLIEST, LATEST))
    assert path.read_text(encoding="utf-8") == text
