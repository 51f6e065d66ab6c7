"""What the audit log holds, and what it never does."""

from __future__ import annotations

import io
import json
import logging
import stat
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from fastapi import FastAPI, Request
from fastapi.testclient import TestClient

from app.access import audit
from app.catalog.keys import KeyInfo, Principal
from app.errors import Forbidden, Unauthenticated
from app.http import problems
from app.settings import Settings

ANN = Principal("0123456789ab", "ann", "writer", ("a",))
KEY = "teal_0123456789ab_" + "s" * 43


@pytest.fixture(autouse=True)
def restored() -> Iterator[None]:
    log = logging.getLogger("app.access.audit")
    before = log.handlers, log.propagate
    yield
    log.handlers, log.propagate = before


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    audit.configure_audit(Settings(log_dir=tmp_path, release_id="r7"), "app-blue-0")
    return tmp_path


def lines(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / audit.FILE).read_text().splitlines()]


def test_a_line_says_who_did_what_to_what_and_where(folder: Path) -> None:
    audit.write_audit_line("document-added", ANN, document_id="d", collection="a", nothing=None)
    (line,) = lines(folder)
    stated = {"message": "document-added", "key_id": ANN.key_id, "key_name": "ann", "role": "writer", "document_id": "d", "collection": "a",
              "release": "r7", "color": "blue", "part": "app-blue-0"}  # fmt: skip
    assert stated.items() <= line.items()
    assert "nothing" not in line
    assert stat.S_IMODE((folder / audit.FILE).stat().st_mode) == 0o600


def test_outside_a_laptop_the_line_goes_to_the_process_log_under_its_own_name(capsys: pytest.CaptureFixture[str]) -> None:
    stream = io.StringIO()
    audit.configure_audit(Settings(), "admin", stream=stream)
    audit.record_command("keys create", {"role": "reader"}, ids=["0123456789ab"], error=None)
    line = json.loads(stream.getvalue())
    # By `logger` a reader of a command's answer tells this line from the answer (teal/aws/jobs.py).
    assert (line["logger"], line["command"], line["ids"]) == ("app.access.audit", "keys create", ["0123456789ab"])
    assert capsys.readouterr().out == ""


def app(who: Principal | None, error: Exception) -> TestClient:
    made = FastAPI()
    problems.install_problem_handlers(made)

    @made.get("/v1/documents/{document_id}")
    def route(document_id: str, request: Request) -> None:
        if who is not None:
            request.state.principal = who
        raise error

    return TestClient(made)


def test_a_refusal_names_the_key_the_route_and_the_address_and_repeats_nothing_the_client_wrote(folder: Path) -> None:
    path = f"/v1/documents/{KEY}?question=who-is-ill"
    app(ANN, Forbidden("no")).get(path, headers={"authorization": f"Bearer {KEY}", "x-forwarded-for": "6.6.6.6, 10.0.0.9"})
    app(None, Unauthenticated("no")).get(path, headers={"authorization": f"Bearer {KEY}", "cookie": f"teal_session={'t' * 43}"})
    first, second = lines(folder)
    assert (first["code"], first["key_id"], first["route"]) == ("forbidden", ANN.key_id, "/v1/documents/{document_id}")
    assert first["client"] == "10.0.0.9"  # what the load balancer added; the client wrote the other one
    assert (second["code"], second["claimed_key_id"], "key_id" in second) == ("unauthenticated", ANN.key_id, False)
    text = (folder / audit.FILE).read_text()
    for never in (KEY, "s" * 43, "t" * 43, "who-is-ill", "6.6.6.6"):
        assert never not in text


def test_a_flood_of_refusals_is_counted_and_not_written(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    moment = [1_000.0]
    monkeypatch.setattr("app.access.audit.time.time", lambda: moment[0])
    client = app(None, Unauthenticated("no"))
    for _ in range(audit.REFUSALS_PER_SECOND + 30):
        client.get("/v1/documents/1")
    audit.write_audit_line("signed-in", ANN)  # never left out
    moment[0] += 1
    client.get("/v1/documents/1")
    found = lines(folder)
    assert len(found) == audit.REFUSALS_PER_SECOND + 2
    assert (found[-2]["message"], found[-1]["left_out"]) == ("signed-in", 30)


@pytest.mark.parametrize(
    ("lives_days", "left_days", "revoked", "replaced", "soon"),
    [
        (90, 13, False, False, True),
        (90, 15, False, False, False),
        (90, -1, False, False, False),
        (90, 13, True, False, False),
        (90, 13, False, True, False),  # whoever uses it has another
        (0.25, 0.2, False, False, False),  # a release's key is meant to end
    ],
)
def test_which_keys_end_soon(lives_days: float, left_days: float, revoked: bool, replaced: bool, soon: bool) -> None:
    now = datetime(2026, 3, 1, tzinfo=UTC)
    end = now + timedelta(days=left_days)
    info = KeyInfo("i", "n", "reader", None, end - timedelta(days=lives_days), end, now if revoked else None,
                   replaced_by="j" if replaced else None)  # fmt: skip
    assert info.ends_soon(now) is soon
