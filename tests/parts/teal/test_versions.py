"""Versions: the same tree is the same version, whatever lies about in it; anything else is another one."""

from __future__ import annotations

import json
import os
import shutil
import time
from dataclasses import asdict, replace
from pathlib import Path

import pytest

from app.catalog.engine import head_revision
from app.catalog.phases import OLDEST_REVISION
from teal.errors import BadInput
from teal.laptop import versions
from teal.laptop.layout import Layout

PROJECT = Path(__file__).parents[3]


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> tuple[Layout, Path, versions.Version]:
    folder = tmp_path_factory.mktemp("versions")
    tree = folder / "tree"
    for package in versions.PACKAGES:
        shutil.copytree(PROJECT / package, tree / package, ignore=shutil.ignore_patterns("__pycache__"))
    layout = Layout(folder / ".teal")
    return layout, tree, versions.build(layout, tree, "first")


def test_a_version_says_which_schema_it_serves_and_holds_the_code(built: tuple[Layout, Path, versions.Version]) -> None:
    _, _, version = built
    assert (version.schema_min, version.schema_max) == (OLDEST_REVISION, head_revision())
    for part in ("app/main.py", "app/web/page.js", "app/catalog/migrations/versions/0001_first_schema.py"):
        assert (version.code / part).is_file() or part.startswith("app/web")
    assert any((version.code / "app" / "web").iterdir())


def test_the_same_tree_elsewhere_later_and_with_litter_is_the_same_version(
    built: tuple[Layout, Path, versions.Version], tmp_path: Path
) -> None:
    layout, tree, version = built
    copy = tmp_path / "elsewhere"
    shutil.copytree(tree, copy)
    (copy / "app" / "__pycache__").mkdir()
    (copy / "app" / "__pycache__" / "x.pyc").write_bytes(b"x")
    (copy / "app" / "main.py").chmod(0o777)
    os.utime(copy / "app" / "main.py", (0, 0))
    assert versions.build(Layout(tmp_path / ".teal"), copy).id == version.id
    assert versions.build(layout, tree, "again") == version


def test_who_may_read_what_the_builder_writes_is_not_part_of_the_version(
    built: tuple[Layout, Path, versions.Version], tmp_path: Path
) -> None:
    _, tree, version = built
    before = os.umask(0o077)
    try:
        closed = versions.build(Layout(tmp_path / ".teal"), tree)
    finally:
        os.umask(before)
    assert closed.id == version.id


def test_one_changed_byte_is_another_version(built: tuple[Layout, Path, versions.Version], tmp_path: Path) -> None:
    layout, tree, version = built
    shutil.copytree(tree, tmp_path / "changed")
    with (tmp_path / "changed" / "app" / "edge.py").open("a") as file:
        file.write("#\n")
    assert versions.build(layout, tmp_path / "changed").id != version.id


def test_a_version_is_found_by_id_beginning_and_label_and_a_wrong_name_lists_them(
    built: tuple[Layout, Path, versions.Version],
) -> None:
    layout, _, version = built
    assert {versions.find_version(layout, name) for name in (version.id, version.id[:10], "first")} == {version}
    with pytest.raises(BadInput, match=version.id[:12]):
        versions.find_version(layout, "nobody")


def test_a_folder_without_the_service_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="no app/"):
        versions.build(Layout(tmp_path), tmp_path)


def test_a_tree_whose_schema_cannot_be_asked_is_refused_with_its_own_words(
    built: tuple[Layout, Path, versions.Version], tmp_path: Path
) -> None:
    _, tree, _ = built
    shutil.copytree(tree, tmp_path / "broken")
    with (tmp_path / "broken" / "app" / "errors.py").open("a") as file:
        file.write("raise RuntimeError('it is broken')\n")
    with pytest.raises(versions.BuildFailed, match="it is broken"):
        versions.build(Layout(tmp_path / ".teal"), tmp_path / "broken")


def _copies(layout: Layout, version: versions.Version, count: int) -> list[str]:
    """Versions in `layout`, oldest first: one that was built, under other names."""
    names = [f"{number:064}" for number in range(count)]
    for age, name in enumerate(names):
        folder = layout.versions / name
        shutil.copytree(version.folder, folder)
        (folder / "version.json").write_text(json.dumps(asdict(replace(version, id=name, folder=str(folder)))))
        os.utime(folder, (age, age))
    return names


def test_versions_that_nothing_runs_are_removed_but_the_five_newest(
    built: tuple[Layout, Path, versions.Version], tmp_path: Path
) -> None:
    layout = Layout(tmp_path / ".teal")
    names = _copies(layout, built[2], 9)
    litter = layout.versions / ".building-killed"
    litter.mkdir()
    versions.use(layout, names[1])  # released again: it counts as the newest
    versions.prune(layout, {names[0]})
    left = sorted(path.name for path in layout.versions.iterdir())
    assert left == sorted([names[0], names[1], *names[5:], litter.name])
    os.utime(litter, (time.time() - 2 * versions.LITTER_SECONDS,) * 2)
    versions.prune(layout, {names[0]})
    assert not litter.exists()


def test_a_version_whose_packages_are_gone_gets_them_again_when_it_is_released(
    built: tuple[Layout, Path, versions.Version], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    layout = Layout(tmp_path / ".teal")
    (name,) = _copies(layout, built[2], 1)
    (layout.versions / name / "requirements.lock").write_bytes(b"another lock")
    asked: list[bytes] = []

    def ready(_: Layout, lock: bytes) -> str:
        asked.append(lock)
        return "/made/again"

    monkeypatch.setattr(versions.environments, "ensure_interpreter", ready)
    assert versions.find_version(layout, name).python == built[2].python
    assert versions.use(layout, name).python == "/made/again"
    assert asked == [b"another lock"]


def test_a_version_with_a_damaged_note_holds_no_other_up_and_is_built_anew(built: tuple[Layout, Path, versions.Version]) -> None:
    layout, tree, version = built
    for damaged in ("", "{", "[]", '{"id": "x"}'):
        (Path(version.folder) / "version.json").write_text(damaged, encoding="utf-8")
        with pytest.raises(BadInput, match="No version is called"):
            versions.find_version(layout, version.id)
        versions.prune(layout, [version.id])
        assert versions.build(layout, tree, "first") == version


def test_a_version_that_another_process_takes_away_meanwhile_is_no_error(
    built: tuple[Layout, Path, versions.Version], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    layout = Layout(tmp_path / ".teal")
    first, second = _copies(layout, built[2], 2)
    real = Path.read_text

    def read(path: Path, **options: str) -> str:
        if path.parent.name == first:
            shutil.rmtree(path.parent, ignore_errors=True)
        return real(path, **options)

    monkeypatch.setattr(Path, "read_text", read)
    assert versions.find_version(layout, second).id == second
    versions.prune(layout, set())
    assert [path.name for path in layout.versions.iterdir()] == [second]


@pytest.mark.parametrize("content", ["", "{", "[]", '{"id": 1}'])
def test_a_lost_note_is_written_again_from_code_that_is_whole_and_from_no_other(
    built: tuple[Layout, Path, versions.Version], tmp_path: Path, content: str
) -> None:
    _, _, version = built
    mine = Layout(tmp_path / ".teal")
    folder = mine.versions / version.id
    shutil.copytree(Path(version.folder), folder)
    assert not versions.mend_note(mine, version.id, "first"), "nothing is to be mended"
    (folder / versions.NOTE).write_text(content)
    with pytest.raises(BadInput):
        versions.find_version(mine, version.id)
    assert versions.mend_note(mine, version.id, "first")
    assert versions.find_version(mine, version.id) == replace(version, folder=str(folder))
    (folder / versions.NOTE).unlink()
    (folder / "code" / "app" / "main.py").write_text("print(")
    assert not versions.mend_note(mine, version.id, "first")
    assert not (folder / versions.NOTE).exists()
