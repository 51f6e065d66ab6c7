"""A release whose packages are not those of the version before: its color runs in an environment of its own, and a rollback leaves it."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from teal.laptop import versions
from teal.laptop.environments import LOCK, project
from teal.laptop.target import VersionImages
from teal.ports.traffic import all_to
from tests.services.releasing import ReleaseStack, tree

pytestmark = [pytest.mark.integration, pytest.mark.release, pytest.mark.timeout(600)]
RULES = {"steps": [50, 100], "analysis_seconds": 3, "minimum_samples": 20, "hold_seconds": 120, "poll_seconds": 0.5, "jobs_seconds": 30,
         "probes_per_poll": 10, "slo_seconds": 10}  # fmt: skip
PACKAGE, OTHER = "idna", "3.10"  # small, plain Python, and any version of the last years will do for what uses it


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ReleaseStack]:
    yield from ReleaseStack.running(tmp_path_factory.mktemp("lock"), RULES)


def own_lock() -> str:
    return (project() / LOCK).read_text()


def with_other(folder: Path) -> str:
    """This tree's lock with one package at another version, by the hash of what pip brings."""
    pip = [
        sys.executable,
        "-m",
        "pip",
        "download",
        "--quiet",
        "--disable-pip-version-check",
        "--no-deps",
        "--only-binary=:all:",
        "--dest",
    ]
    subprocess.run([*pip, str(folder), f"{PACKAGE}=={OTHER}"], check=True, timeout=120)
    (wheel,) = folder.glob("*.whl")
    return changed(hashlib.sha256(wheel.read_bytes()).hexdigest())


def changed(digest: str) -> str:
    entry = re.compile(rf"^{PACKAGE}==[^\n]+\n(?:    --hash=[^\n]+\n?)+", re.MULTILINE)
    text, count = entry.subn(f"{PACKAGE}=={OTHER} \\\n    --hash=sha256:{digest}\n", own_lock())
    assert count == 1
    return text


def interpreters(stack: ReleaseStack, color: str) -> set[str]:
    """What the color's processes were started with."""
    return {psutil.Process(pid).cmdline()[0] for pid, part in stack.processes().items() if part.startswith(f"{color}-")}


def version(python: str) -> str:
    code = f"import importlib.metadata; print(importlib.metadata.version({PACKAGE!r}))"
    return subprocess.run([python, "-I", "-c", code], capture_output=True, text=True, check=True).stdout.strip()


def environments(stack: ReleaseStack) -> list[Path]:
    return sorted(stack.layout.environments.glob("[!.]*"))


def test_a_lock_that_cannot_be_installed_is_refused_and_nothing_is_changed(stack: ReleaseStack, tmp_path: Path) -> None:
    before = (stack.record(), stack.weights(), stack.processes(), sorted(path.name for path in stack.layout.versions.iterdir()))
    source = tree(tmp_path, text="wrong hash")
    (source / LOCK).write_text(changed("0" * 64))
    code, said = stack.teal("release", str(source))
    assert code == 1
    assert f"{PACKAGE}=={OTHER}" in json.dumps(said[-1]), said[-1]
    assert LOCK in json.dumps(said[-1]["error"]["next"] if "error" in said[-1] else said[-1])
    after = (stack.record(), stack.weights(), stack.processes(), sorted(path.name for path in stack.layout.versions.iterdir()))
    assert after == before
    assert environments(stack) == []


def test_a_release_runs_with_its_own_lock_s_packages_and_a_rollback_with_those_of_before(
    stack: ReleaseStack, tmp_path: Path
) -> None:
    stack.fill()
    source = tree(tmp_path, text="other packages")
    (source / LOCK).write_text(with_other(tmp_path / "wheels"))
    began = time.monotonic()
    releaser = stack.start("release", str(source), "--version", "other", "--json", to=tmp_path / "said.jsonl")
    while (found := stack.record().release) is None or found.step != "hold":
        assert releaser.poll() is None, (tmp_path / "said.jsonl").read_text()[-2000:]
        assert time.monotonic() < began + 500
        time.sleep(0.2)
    (python,) = interpreters(stack, "green")
    (made,) = environments(stack)
    assert python == str(made / "bin" / "python")
    assert (version(python), version(sys.executable) != OTHER) == (OTHER, True)
    assert interpreters(stack, "blue") == {sys.executable}
    size = sum(path.stat().st_size for path in made.rglob("*") if path.is_file() and not path.is_symlink())
    print(f"installed and at hold after {time.monotonic() - began:.0f} s; {size / 2**20:.0f} MiB")

    code, said = stack.teal("rollback")
    assert code == 0, said[-3:]
    assert releaser.wait(60) == 1
    assert (stack.record().active, stack.weights()) == ("blue", all_to("blue"))
    assert interpreters(stack, "green") == set()

    # Five newer versions that nothing runs: the next build takes this one away, and its packages.
    (kept,) = [path for path in stack.layout.versions.glob("*/version.json") if json.loads(path.read_text())["label"] == "other"]
    for number in range(versions.KEPT):
        folder = stack.layout.versions / f"{number:064}"
        shutil.copytree(stack.layout.versions / str(stack.record().blue.image), folder)
        about = json.loads((folder / "version.json").read_text())
        (folder / "version.json").write_text(json.dumps(about | {"id": folder.name, "folder": str(folder)}))
        os.utime(folder)
    assert kept.exists()
    VersionImages(stack.layout, {}).build(tree(tmp_path, text="next"), None)
    assert not kept.exists()
    assert environments(stack) == []
    assert (stack.layout.versions / str(stack.record().blue.image) / "version.json").exists()
