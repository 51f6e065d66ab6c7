"""What operators' tools read from `python -m app.admin`."""

from __future__ import annotations

import json
import os
import stat
import subprocess
import sys
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import update

from app.catalog import documents, ingestion_queries, keys, usage
from app.catalog.engine import Catalog, head_revision
from app.catalog.ingestion_queries import Job
from app.catalog.tables import KeyRow
from app.ingestion.job_queue import Jobs
from app.settings import Settings
from tests.contract.catalog_promises import accept

_REPOSITORY = Path(__file__).parents[3]


def admin(state: Path, *arguments: str, **environment: str) -> tuple[int, list[dict[str, Any]], str]:
    """Exit code, JSON lines and standard error of one command."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("TEAL_", "DATABASE_URL"))}
    own = {"TEAL_STATE_DIR": str(state), "TEAL_BACKUP_DIR": str(state / "backups"), "TEAL_MODEL_DIR": str(state / "models")}
    done = subprocess.run(
        [sys.executable, "-m", "app.admin", *arguments],
        cwd=_REPOSITORY, env=clean | own | environment,
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    return done.returncode, [json.loads(line) for line in done.stdout.splitlines()], done.stderr


@pytest.fixture
def state(tmp_path: Path) -> Path:
    code, lines, _ = admin(tmp_path, "migrate")
    assert (code, lines) == (0, [{"revision": head_revision()}])
    return tmp_path


@pytest.fixture
def catalog(state: Path) -> Catalog:
    return Catalog(Settings.model_validate({"state_dir": state}).sqlalchemy_url())


def test_created_key_opens_and_revoked_key_does_not(state: Path, catalog: Catalog) -> None:
    code, [made], _ = admin(state, "keys", "create", "--role", "writer", "--name", "n", "--collection", "a", "--collection", "b")
    assert code == 0
    with catalog.read() as session:
        assert keys.verify_key(session, made["key"]).collections == ("a", "b")
    assert admin(state, "keys", "revoke", made["id"])[0] == 0
    code, [listed], _ = admin(state, "keys", "list")
    assert listed["id"] == made["id"]
    assert listed["revoked_at"] is not None
    assert "key" not in listed


def test_rotated_key_is_listed_with_its_successor_and_a_key_near_its_end_is_named(state: Path, catalog: Catalog) -> None:
    _, [old], _ = admin(state, "keys", "create", "--role", "reader", "--expires-in-days", "13", "--questions-per-day", "5")
    with catalog.write() as session:
        session.execute(update(KeyRow).values(created_at=datetime.now(UTC) - timedelta(days=77)))  # made for 90 days
    _, [listed], _ = admin(state, "keys", "list")
    assert (listed["ends_soon"], listed["quota"]) == (True, {"requests": None, "questions": 5})
    code, [new], _ = admin(state, "keys", "rotate", old["id"], "--grace-hours", "2")
    assert (code, new["replaces"], new["role"], new["quota"]) == (0, old["id"], "reader", listed["quota"])
    with catalog.write() as session:
        assert keys.verify_key(session, old["key"]).role == keys.verify_key(session, new["key"]).role == "reader"
        usage.reserve(session, new["id"], "questions", datetime.now(UTC).date(), count=1, limit=5)
    _, found, _ = admin(state, "keys", "list")
    by_id = {line["id"]: line for line in found}
    assert (by_id[old["id"]]["replaced_by"], by_id[old["id"]]["ends_soon"]) == (new["id"], False)
    assert by_id[new["id"]]["used_today"] == {"requests": 0, "questions": 1}
    assert admin(state, "keys", "quota", new["id"], "--requests-per-day", "7")[1][0]["quota"] == {
        "requests": 7,
        "questions": None,
    }


def test_commands_that_change_something_are_written_down_without_what_they_print(state: Path, tmp_path: Path) -> None:
    folder = tmp_path / "log"
    _, [made], _ = admin(state, "keys", "create", "--role", "reader", "--name", "ann", TEAL_LOG_DIR=str(folder))
    admin(state, "keys", "list", TEAL_LOG_DIR=str(folder))
    admin(state, "keys", "rotate", "nobody", TEAL_LOG_DIR=str(folder))
    file = folder / "audit.jsonl"
    lines = [json.loads(line) for line in file.read_text().splitlines()]
    assert [(line["command"], line.get("ids"), line.get("error")) for line in lines] == [
        ("keys create", [made["id"]], None),
        ("keys rotate", None, "not-found"),
    ]
    assert (lines[0]["options"]["role"], lines[0]["message"], bool(lines[0]["operator"])) == ("reader", "command", True)
    assert made["key"].split("_", 2)[2] not in file.read_text()
    assert stat.S_IMODE(file.stat().st_mode) == 0o600


def test_a_command_that_only_looks_is_not_written_down_and_one_that_changes_has_its_whole_name(
    state: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "log"
    for looks in (
        ("status",),
        ("schema",),
        ("snapshots",),
        ("advise",),
        ("keys", "list"),
        ("index", "list"),
        ("jobs", "left", "--release", "r"),
    ):
        assert admin(state, *looks, TEAL_LOG_DIR=str(folder))[0] == 0
    admin(state, "index", "drop", "--name", "teal-b1", TEAL_LOG_DIR=str(folder))
    assert [json.loads(line)["command"] for line in (folder / "audit.jsonl").read_text().splitlines()] == ["index drop"]


@pytest.mark.parametrize(
    ("arguments", "exit_code", "code"),
    [
        (("keys", "create", "--role", "king"), 2, "invalid-request"),
        (("keys", "create", "--role", "reader", "--expires-at", "2030-01-01"), 2, "invalid-request"),
        (("keys", "create", "--role", "reader", "--requests-per-day", "0"), 2, "invalid-request"),
        (("keys", "create", "--role", "reader", "--questions-per-day", "9" * 20), 2, "invalid-request"),
        (("keys", "create", "--role", "reader", "--expires-in-days", "9" * 9), 2, "invalid-request"),
        (("keys", "revoke", "nobody"), 2, "not-found"),
        (("keys", "rotate", "nobody"), 2, "not-found"),
        (("fly",), 2, "invalid-request"),
    ],
)
def test_bad_input_is_one_json_error_without_stack_trace(
    state: Path, arguments: tuple[str, ...], exit_code: int, code: str
) -> None:
    found, [line], errors = admin(state, *arguments)
    assert (found, line["error"]["code"]) == (exit_code, code)
    assert line["error"]["detail"]
    assert line["error"]["action"]
    assert "Traceback" not in errors


@pytest.mark.parametrize(
    ("arguments", "command"),
    [
        (("keys", "revoke", "nobody"), "teal keys list"),
        (("verify", "--snapshot", "nothing"), "teal snapshots"),
        (("verify",), "`teal snapshot` makes one"),
    ],
)
def test_what_is_not_there_names_the_command_that_lists_it(
    state: Path, catalog: Catalog, arguments: tuple[str, ...], command: str
) -> None:
    found, [line], _ = admin(state, *arguments)
    assert (found, line["error"]["code"]) == (2, "not-found")
    assert command in line["error"]["action"]


def test_wrong_setting_is_named(state: Path) -> None:
    code, [line], errors = admin(state, "status", TEAL_INGEST_ATTEMPTS="0")
    assert code == 2
    assert "ingest_attempts" in line["error"]["detail"].lower()
    assert "Traceback" not in errors


def test_missing_schema_names_the_command_that_mends_it(tmp_path: Path) -> None:
    code, [line], errors = admin(tmp_path, "status")
    assert code == 1
    assert "app.admin migrate" in line["error"]["detail"]
    assert "Traceback" not in errors


def test_status_counts_documents(state: Path, catalog: Catalog) -> None:
    accept(catalog, "words")
    code, [line], _ = admin(state, "status")
    assert code == 0
    assert line["documents"] == {"queued": 1, "processing": 0, "indexed": 0, "failed": 0}
    assert line["generation"] == 0


def test_doctor_says_of_each_part_whether_it_is_well_and_what_to_do(state: Path) -> None:
    code, lines, _ = admin(state, "doctor")
    assert code == 0
    parts = {line["part"]: line for line in lines}
    assert parts["catalog"]["ok"]
    assert parts["jobs"]["ok"]
    assert not parts["model"]["ok"]
    assert "Next: " in parts["model"]["detail"]
    assert set(parts) == {"catalog", "jobs", "model", "search"}


def test_rebuild_queues_every_document_again(state: Path, catalog: Catalog) -> None:
    ids = [accept(catalog, f"words {number}").id for number in range(3)]
    with catalog.write() as session:
        ingestion_queries.mark_failed(session, Job(ids[0], 1), "internal", "why")
    code, lines, _ = admin(state, "rebuild")
    assert (code, lines[-1]) == (0, {"queued": 3, "done": True})
    with catalog.read() as session:
        assert documents.count_by_status(session)["queued"] == 3
    jobs = Jobs(Settings.model_validate({"state_dir": state}))
    assert set(jobs.held([Job(one, 2) for one in ids])) == {Job(one, 2) for one in ids}
    jobs.close()


def test_enqueueing_twice_is_enqueueing_once(state: Path) -> None:
    jobs = Jobs(Settings.model_validate({"state_dir": state}))
    job = Job("d", 1)
    jobs.enqueue(job)
    jobs.enqueue(job)
    assert list(jobs.held([job])) == [job]
    assert not jobs.held([job])[job].finished
    jobs.close()


def test_jobs_database_that_is_away_does_not_fail_the_client(tmp_path: Path) -> None:
    jobs = Jobs(Settings.model_validate({"state_dir": tmp_path / "nowhere"}))
    jobs.ingest("d", 1)
    jobs.remove("d")
    jobs.close()


def test_help_imports_no_heavy_module() -> None:
    heavy = "{'sqlalchemy', 'dbos', 'numpy', 'pydantic', 'alembic'}"
    script = f"import sys, app.admin; app.admin.parser(); print(sorted({heavy} & set(sys.modules)))"
    began = time.monotonic()
    done = subprocess.run([sys.executable, "-c", script], cwd=_REPOSITORY, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
    assert time.monotonic() - began < 10  # measured 0.1 s; the bound only catches a hang on a loaded machine
