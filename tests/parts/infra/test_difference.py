"""Two checkouts, each evaluated by its own code: what the workflow `preview` runs."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from infra.evaluation.evaluate import ROOT


def run(folder: Path, before: Path) -> subprocess.CompletedProcess[str]:
    """Without anything that could be a right: no AWS, no Kubernetes, no state."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "PULUMI_", "KUBE"))}
    return subprocess.run(
        [sys.executable, "-m", "infra.policy.difference", "dev", "--before", str(before)],
        cwd=folder, env=environment | {"PYTHONPATH": str(folder)}, capture_output=True, text=True, timeout=280, check=False,
    )  # fmt: skip


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("base")
    for name in ("infra", "contract"):
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    text = (ROOT / "Pulumi.dev.yaml").read_text()
    assert "flow_log_days: 7\n" in text
    (folder / "Pulumi.dev.yaml").write_text(text.replace("flow_log_days: 7\n", "flow_log_days: 14\n"))
    return folder


def test_a_change_is_told_by_comparing_both_programs(base: Path) -> None:
    ended = run(ROOT, base)
    assert ended.returncode == 0, ended.stderr
    lines = ended.stdout.splitlines()
    assert {line.split()[1] for line in lines} == {"aws:cloudwatch/logGroup:LogGroup"}
    assert all(line.startswith("update ") and line.endswith(" (retentionInDays)") for line in lines)


def test_each_side_is_evaluated_by_its_own_code(base: Path) -> None:
    (base / "infra" / "__main__.py").write_text('raise SystemExit("the base has another program")\n')
    ended = run(ROOT, base)
    assert ended.returncode == 2
    assert "could not be evaluated" in ended.stderr
