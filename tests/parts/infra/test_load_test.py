"""Load tests in the cluster: nothing unless asked for; then what the policies, the API and Locust itself take."""

from __future__ import annotations

import subprocess
import sys

import pytest

from infra.evaluation.evaluate import ROOT
from infra.platform.cluster.load_test import MASTER, VARIABLE, WORKER
from tests.unit.infra.platform.cluster.test_load_test import container


@pytest.mark.parametrize("name", [MASTER, WORKER])
def test_locust_itself_understands_the_arguments(name: str) -> None:
    """`--list` ends after the options and the locustfile were read, before anything is connected."""
    arguments = ["https://h" if isinstance(one, dict) else one for one in container(name)["args"]]
    command = [sys.executable, "-m", "locust", "--locustfile", str(ROOT / "loadtests" / "locustfile.py"), *arguments, "--list"]
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=60, check=False, env={"PATH": "/usr/bin", VARIABLE: "key"}
    )
    assert done.returncode == 0, done.stderr
    assert "Searcher" in done.stdout
