"""No secret of a running stack lies anywhere but in the files that are made for secrets, and those its owner alone can read."""

from __future__ import annotations

import json
import stat as modes
from pathlib import Path

import httpx
import pytest

from teal.client.entry import PROBE_HEADER
from teal.laptop.state import load_state
from tests.laptop.test_stack import Stack, stack
from tests.parts.app.service import until
from tests.services.secrets_at_rest import MADE_FOR_SECRETS, leaks, secrets

pytestmark = pytest.mark.integration
__all__ = ["stack"]  # the fixture

PROVIDER_KEY = "sk-provider-0f9e8d7c6b5a"  # pragma: allowlist secret
LAST = "the-last-request"
AUDIT = "log/audit.jsonl"
QUESTION = "Which wombat is the xylophonist of the quartet?"


def test_a_running_stack_keeps_its_secrets_where_they_belong(stack: Stack) -> None:
    given = {"TEAL_OPENAI_API_KEY": PROVIDER_KEY}
    done = stack.teal("up", "--no-corpus", "--port", str(stack.port), "--json", environ=given)
    assert done.returncode == 0, done.stdout
    made = json.loads(stack.teal("keys", "create", "--role", "writer", "--json").stdout)
    rotated = json.loads(stack.teal("keys", "rotate", made["id"], "--json").stdout)
    own = stack.layout.admin_key.read_text().strip()
    replaced = json.loads(stack.teal("keys", "rotate", own.split("_")[1], "--json").stdout)
    assert stack.layout.admin_key.read_text().strip() == replaced["key"], "the stack's own file still has the old key"
    with stack.http() as http:
        signed_in = http.post("/v1/session", json={"key": rotated["key"]})
        token = signed_in.cookies["teal_session"]
        for key in (made["key"], rotated["key"]):
            authorized = {"Authorization": f"Bearer {key}", "Cookie": "none=1"}
            assert http.post("/v1/search", json={"query": QUESTION}, headers=authorized).status_code == 200
        probe = stack.layout.probe_secret("blue").read_text().strip()
        probed = {PROBE_HEADER: probe, "X-Teal-Bypass-Cache": "1", "Authorization": f"Bearer {made['key']}"}
        assert http.post("/v1/ask", json={"question": QUESTION}, headers=probed).status_code == 200
        wrong = f"teal_{made['id']}_{'W' * 43}"
        assert http.get(f"/v1/documents/{made['key']}", headers={"Authorization": f"Bearer {wrong}"}).status_code == 401
        assert http.get("/healthz", params={"key": rotated["key"], "last": LAST}).status_code == 200
    state = load_state(stack.layout)
    assert state is not None
    for port in (*state.ports.blue, state.ports.worker("blue")):  # another user of the machine
        assert httpx.get(f"http://127.0.0.1:{port}/metrics").status_code == 404
    assert json.loads(stack.teal("status", "--json").stdout.splitlines()[-1])
    wanted = {
        **secrets(stack.layout),
        "a made key": made["key"],
        "a rotated key": rotated["key"],
        "the old key of the stack": own,
        "a session": token,
        "a question": QUESTION,
        "a wrong key": wrong,
    }
    assert len(wanted) > 8
    assert wanted["service.json TEAL_OPENAI_API_KEY"] == PROVIDER_KEY
    access = stack.layout.logs / "access.log"
    until("the requests are in the access log", lambda: LAST in access.read_text(), 10)
    assert list(leaks(stack.home, wanted)) == []
    assert "signed-in" in (stack.home / AUDIT).read_text()
    assert modes.S_IMODE(stack.home.stat().st_mode) == 0o700
    private = [path for path in stack.home.rglob("*") if str(path.relative_to(stack.home)).startswith((*MADE_FOR_SECRETS, AUDIT))]
    assert len(private) > 12
    assert [path for path in private if path.is_file() and path.stat().st_mode & (modes.S_IRWXG | modes.S_IRWXO)] == []


def test_the_search_for_secrets_finds_one(tmp_path: Path) -> None:
    (tmp_path / "log").mkdir()
    (tmp_path / "keys").mkdir()
    (tmp_path / "log" / "app.log").write_text("Bearer abc123")
    (tmp_path / "keys" / "admin.key").write_text("abc123")
    assert list(leaks(tmp_path, {"a key": "abc123", "another": "xyz"})) == ["a key is in log/app.log"]
