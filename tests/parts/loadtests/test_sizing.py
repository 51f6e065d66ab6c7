"""What a user costs is measured with real Locust: a service or an argument that is wrong ends it at once, in words and without a traceback."""

from __future__ import annotations

import json

import pytest

from loadtests.sizing import SizingFailed, main, measure
from tests.services.ports import free_port

pytestmark = pytest.mark.integration


def test_a_host_where_nothing_listens_is_named_before_locust_is_started(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("LOCUST_LOAD_KEYS", "key")
    host = f"http://127.0.0.1:{free_port()}"
    assert main(["--host", host, "--users", "1,2", "--seconds", "3"]) == 2
    assert f"{host} answers no search" in json.loads(capsys.readouterr().out)["error"]["what"]


@pytest.mark.timeout(60)
def test_a_locust_that_ends_before_it_runs_says_why_at_once() -> None:
    with pytest.raises(SizingFailed, match=r"ended with 2 before anything was measured: .*none\.pem"):
        measure("http://127.0.0.1:1", "/nowhere/none.pem", 1, 3.0)
