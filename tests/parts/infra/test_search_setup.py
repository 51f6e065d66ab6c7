"""What Elasticsearch is told once it runs, and the script that tells it."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from elasticsearch import Elasticsearch

from infra.config.sections import SearchConfig
from infra.platform.search import setup
from tests.services.http_stand_in import Handler, listening
from tests.services.required import require


@pytest.mark.integration
def test_a_real_elasticsearch_accepts_template_and_settings(elasticsearch_url: str) -> None:
    client = Elasticsearch(elasticsearch_url)
    body = setup.template_body(SearchConfig(replicas=0))
    del body["template"]["settings"]["index"]["lifecycle"]  # the distribution for tests has no ILM
    client.indices.put_index_template(name="teal-defaults", body=body)
    try:
        client.indices.create(index="teal-restored-1")
        settings = client.indices.get_settings(index="teal-restored-1")["teal-restored-1"]["settings"]["index"]
        assert (settings["number_of_replicas"], settings["refresh_interval"]) == ("0", "1s")
        changed = setup.index_settings_body(SearchConfig(replicas=0, refresh_interval="7s"))
        del changed["index"]["lifecycle"]
        client.indices.put_settings(index="teal-restored-1", settings=changed["index"])
        after = client.indices.get_settings(index="teal-restored-1")["teal-restored-1"]["settings"]["index"]
        assert after["refresh_interval"] == "7s"
    finally:
        client.indices.delete(index="teal-restored-1")
        client.indices.delete_index_template(name="teal-defaults")


class Recorder(Handler):
    """Says no to the first health request, and to `refuses`; keeps what was sent."""

    seen: list[tuple[str, str, Any]]
    refuses: str

    def do_GET(self) -> None:
        self.seen.append(("GET", self.path, None))
        self._say(503 if len(self.seen) == 1 else 200)

    def do_PUT(self) -> None:
        self._change()

    def do_POST(self) -> None:
        self._change()

    def _change(self) -> None:
        text = self.received()
        self.seen.append((self.command, self.path, json.loads(text) if text else None))
        self._say(400 if self.refuses and self.refuses in self.path else 200)

    def _say(self, status: int) -> None:
        ok = self.headers["Authorization"] == "Basic dGVhbC1zZXR1cDpwYXNz"  # teal-setup:pass
        self.answer(status if ok else 401, b'{"said": "by the stand-in"}')


@contextmanager
def recorder(refuses: str = "") -> Iterator[tuple[str, list[tuple[str, str, Any]]]]:
    seen: list[tuple[str, str, Any]] = []
    handler = type("Own", (Recorder,), {"seen": seen, "refuses": refuses})
    with listening(handler) as port:
        yield f"http://127.0.0.1:{port}", seen


def run_script(url: str, folder: Path, wait_tries: str = "50") -> subprocess.CompletedProcess[str]:
    require("curl", "apt-get install curl.", shutil.which("curl") is not None)
    for name, text in setup.files(setup.requests(SearchConfig(), "bucket")).items():
        (folder / name).write_text(text)
    environment = {
        "PATH": os.environ["PATH"], "URL": url, "CA": "/dev/null", "USERNAME": "teal-setup", "PASSWORD": "pass",
        "REQUESTS": str(folder / "requests"), "WAIT_SECONDS": "0.05", "WAIT_TRIES": wait_tries, "TMPDIR": str(folder),
    }  # fmt: skip
    return subprocess.run(
        ["/bin/sh", str(folder / "run.sh")], env=environment, capture_output=True, text=True, timeout=60, check=False
    )


@pytest.mark.integration
def test_the_script_waits_and_sends_every_request_in_order(tmp_path: Path) -> None:
    with recorder() as (url, seen):
        done = run_script(url, tmp_path)
    assert done.returncode == 0, done.stderr
    sent = [(one.method, one.path, one.body) for one in setup.requests(SearchConfig(), "bucket")]
    health = [method for method, path, _ in seen if path.startswith("/_cluster/health")]
    assert len(health) == 2  # refused once, then ready
    assert seen[2:] == sent
    assert sorted(path.name for path in tmp_path.iterdir() if path.name.startswith("tmp")) == []  # no password stays behind


@pytest.mark.integration
def test_the_script_stops_at_the_first_refusal_and_shows_it(tmp_path: Path) -> None:
    with recorder(refuses="_verify") as (url, seen):
        done = run_script(url, tmp_path)
    assert done.returncode == 1
    assert "refused: POST /_snapshot/teal/_verify" in done.stderr
    assert "by the stand-in" in done.stdout
    assert not [path for _, path, _ in seen if "_slm" in path]
    assert "pass" not in done.stderr.replace("passages", "")


@pytest.mark.integration
def test_the_script_gives_up_with_a_reason_when_nobody_answers(tmp_path: Path) -> None:
    done = run_script("http://127.0.0.1:9", tmp_path, wait_tries="2")
    assert done.returncode == 1
    assert "kubectl -n teal-search get elasticsearch,pods" in done.stderr
