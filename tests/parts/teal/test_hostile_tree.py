"""`teal release PATH` of a tree that somebody else wrote: what of it runs before its own processes do, and what of this machine it can take along."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import pytest

from teal.errors import BadInput
from teal.laptop import environments, versions
from teal.laptop.environments import BuildFailed
from teal.laptop.layout import Layout

PROJECT = Path(__file__).parents[3]
# What build tools, Python, git and test runners would run by themselves, and what Python reads at its start.
TRAPS = (
    "setup.py", "sitecustomize.py", "usercustomize.py", "conftest.py", "setuptools.py", "teal.py", "noxfile.py", "backend.py",
    "app/setup.py", "app/sitecustomize.py", "app/conftest.py", "contract/setup.py", "site-packages/sitecustomize.py",
)  # fmt: skip
BACKEND = '[build-system]\nrequires = []\nbuild-backend = "backend"\nbackend-path = ["."]\n'


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    made = tmp_path / "tree"
    for package in versions.PACKAGES:
        shutil.copytree(PROJECT / package, made / package, ignore=shutil.ignore_patterns("__pycache__"))
    return made


def test_nothing_of_a_tree_runs_in_the_operators_own_environment(
    tree: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Only `app.admin schema`, which says which schema the code serves, is asked: in a process of its own that is told no secret."""
    ran = tmp_path / "ran"
    for name in TRAPS:
        (tree / name).parent.mkdir(exist_ok=True)
        (tree / name).write_text(f"open({str(ran)!r}, 'a').write({name!r} + chr(10))\n", encoding="utf-8")
    (tree / "pyproject.toml").write_text(BACKEND, encoding="utf-8")
    (tree / "setup.cfg").write_text("[metadata]\nname = attr: backend.NAME\n[options]\nsetup_requires = evil\n", encoding="utf-8")
    (tree / "trap.pth").write_text(f"import pathlib; pathlib.Path({str(ran)!r}).touch()\n", encoding="utf-8")
    hooks = tree / ".git" / "hooks"
    hooks.mkdir(parents=True)
    for hook in ("post-checkout", "pre-commit", "fsmonitor-watchman"):
        (hooks / hook).write_text(f"#!/bin/sh\ntouch {ran}\n", encoding="utf-8")
        (hooks / hook).chmod(0o755)
    (tree / ".git" / "config").write_text("[core]\n\tfsmonitor = .git/hooks/fsmonitor-watchman\n", encoding="utf-8")
    seen = tmp_path / "seen.json"
    with (tree / "app" / "admin.py").open("a", encoding="utf-8") as file:
        file.write(f"\nimport json as _json, os as _os\nopen({str(seen)!r}, 'w').write(_json.dumps(dict(_os.environ)))\n")
    entry = (tree / "app" / "admin.py").read_text(encoding="utf-8")
    assert entry.count('if __name__ == "__main__":') == 1
    head, _, tail = entry.partition('if __name__ == "__main__":')
    main, _, added = tail.partition("\nimport json as _json")
    added = "import json as _json" + added
    (tree / "app" / "admin.py").write_text(f'{head}{added}\nif __name__ == "__main__":{main}', encoding="utf-8")
    monkeypatch.setenv("TEAL_OPENAI_API_KEY", "an operator's")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "an operator's")
    monkeypatch.setenv("PYTHONPATH", str(tree))
    monkeypatch.chdir(tree)
    made = versions.build(Layout(tmp_path / ".teal"), tree)
    assert not ran.exists(), ran.read_text()
    told = json.loads(seen.read_text())
    assert "an operator's" not in told.values()
    assert set(told) - {"LC_CTYPE"} <= {"PATH", "PYTHONPATH", "PYTHONSAFEPATH", "LANG", "TEAL_STATE_DIR"}
    assert not any(
        path.name in ("sitecustomize.py", "pyproject.toml") and path.parent == made.code for path in made.code.iterdir()
    )


@pytest.mark.parametrize(
    ("place", "leads"),
    [("app/web/key.txt", "a file"), ("app/web/all", "a folder"), ("contract", "a folder"), ("app/none.py", "nothing")],
)
def test_a_link_is_refused_wherever_it_leads(tree: Path, tmp_path: Path, place: str, leads: str) -> None:
    """Its copy would be a part of the version, and what lies in `app/web` is served to everybody."""
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "__init__.py").write_text("a private key")
    target = {"the tree": tree, "a file": outside / "__init__.py", "a folder": outside, "nothing": tmp_path / "not-there"}[leads]
    path = tree / place
    if path.is_dir():
        shutil.rmtree(path)
    path.symlink_to(target)
    layout = Layout(tmp_path / ".teal")
    with pytest.raises(BadInput, match="is a link to"):
        versions.build(layout, tree)
    assert not list(layout.versions.rglob("*"))


def test_what_is_no_file_and_what_has_no_end_is_refused(tree: Path, tmp_path: Path) -> None:
    layout = Layout(tmp_path / ".teal")
    pipe = tree / "app" / "pipe"
    os.mkfifo(pipe)
    with pytest.raises(BadInput, match="no file and no folder"):
        versions.build(layout, tree)
    pipe.unlink()
    with (tree / "app" / "huge").open("wb") as file:
        file.truncate(versions.MOST_BYTES + 1)
    with pytest.raises(BadInput, match="a version may have"):
        versions.build(layout, tree)


def test_a_lock_outside_of_the_tree_is_not_read(tree: Path, tmp_path: Path) -> None:
    secret = tmp_path / "id_ed25519"
    secret.write_text("a private key")
    (tree / "requirements.lock").symlink_to(secret)
    with pytest.raises(BadInput, match=r"requirements\.lock is a link"):
        versions.build(Layout(tmp_path / ".teal"), tree)


@pytest.mark.parametrize(
    "line",
    ["--index-url https://evil.example/", "--extra-index-url=https://evil.example/", "-f /tmp", "--find-links /tmp", "-e .", "-r /etc/passwd",
     "-c /etc/passwd", "--trusted-host evil.example", "--no-binary :all:", "./evil", "/tmp/evil.tar.gz", "evil @ file:///tmp/evil.whl",
     "git+https://evil.example/x", "https://evil.example/x.whl", "evil", "evil>=1", "evil==1 --config-settings=x=y", "--pre", "${HOME}"],
)  # fmt: skip
def test_a_lock_that_says_more_than_packages_is_refused_before_pip_sees_it(tmp_path: Path, line: str) -> None:
    layout = Layout(tmp_path / ".teal")
    with pytest.raises(BuildFailed, match="names no package with version and hashes"):
        environments.ensure_interpreter(layout, f"tiny==1.0 --hash=sha256:{'0' * 64}\n{line}\n".encode())
    assert not list(layout.environments.glob("[!.]*"))


def test_a_package_that_would_be_built_here_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An sdist runs its author's code when it is installed, and a lock of the tree chooses its own hashes."""
    import hashlib
    import tarfile

    ran = tmp_path / "ran"
    source, folder = tmp_path / "evil-1.0", tmp_path / "packages"
    source.mkdir()
    folder.mkdir()
    (source / "setup.py").write_text(
        f"open({str(ran)!r}, 'w')\nfrom setuptools import setup\nsetup(name='evil', version='1.0')\n"
    )
    (source / "PKG-INFO").write_text("Metadata-Version: 2.1\nName: evil\nVersion: 1.0\n")
    packed = folder / "evil-1.0.tar.gz"
    with tarfile.open(packed, "w:gz") as archive:
        archive.add(source, "evil-1.0")
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))
    monkeypatch.setenv("PIP_NO_BUILD_ISOLATION", "0")
    lock = f"evil==1.0 --hash=sha256:{hashlib.sha256(packed.read_bytes()).hexdigest()}\n".encode()
    with pytest.raises(BuildFailed, match="could not be installed"):
        environments.ensure_interpreter(Layout(tmp_path / ".teal"), lock)
    assert not ran.exists()
