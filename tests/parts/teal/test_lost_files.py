"""Whether data files were lost, and what a rebuild or restore does about processes that still have them open."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from teal.backup.files import lost_files
from teal.laptop.layout import Layout, create_folders
from teal.laptop.marks import HOME_MARK, PART_MARK
from teal.laptop.state import LaptopState, Ports, save_state
from teal.laptop.up import catalog_lost

PORTS = Ports(public=1, blue=(2, 3), green=(4, 5), redis=6, elasticsearch=7, elasticsearch_transport=8)
HOLD = "import sys; file = open(sys.argv[1]); print('open', flush=True); sys.stdin.read()"


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    made = Layout(tmp_path / ".teal")
    create_folders(made)
    save_state(made, LaptopState(ports=PORTS))
    for name in ("catalog.db", "search.db"):
        (made.data / name).touch()
    return made


@pytest.fixture
def worker(layout: Layout) -> Iterator[subprocess.Popen[str]]:
    """A process of the stack that has search open."""
    marks = {**os.environ, HOME_MARK: str(layout.home), PART_MARK: "blue-worker"}
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, str(layout.data / "search.db")],
        env=marks,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "open\n"
        yield process
        process.kill()


def test_a_file_that_is_gone_is_lost_and_one_that_is_there_is_not(layout: Layout) -> None:
    assert lost_files(layout, "teal") == ()
    (layout.data / "catalog.db").unlink()
    assert lost_files(layout, "teal") == ("catalog.db",)
    assert lost_files(layout, "teal-r1") == ("catalog.db", "search-teal-r1.db")


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux shows which deleted files are open")
@pytest.mark.usefixtures("worker")
def test_a_file_that_was_made_again_is_lost_while_a_process_has_the_deleted_one_open(layout: Layout) -> None:
    path = layout.data / "search.db"
    assert lost_files(layout, "teal") == ()
    path.unlink()
    path.touch()  # by a restore that was cut off before it began the processes anew
    assert lost_files(layout, "teal") == ("search.db",)


def test_an_empty_catalog_beside_snapshots_of_one_is_said_when_the_stack_starts(layout: Layout) -> None:
    assert not catalog_lost(layout, {})
    (layout.data / "catalog.db").unlink()
    assert not catalog_lost(layout, {}), "a new stack has no catalog yet"
    (layout.backups / "s1").mkdir(parents=True)
    (layout.backups / "s1" / "manifest.json").touch()
    assert catalog_lost(layout, {})
    assert not catalog_lost(layout, {"DATABASE_URL": "postgresql://localhost/teal"})
