from __future__ import annotations

import json
import os
import shutil
import stat
from pathlib import Path
from types import SimpleNamespace

import pytest

from teal.errors import BadInput
from teal.laptop import layout as layouts
from teal.laptop import reap
from teal.laptop.files import write_private
from teal.laptop.layout import Layout, create_folders, locate_layout
from teal.laptop.state import UpOptions, choose_state, load_state, save_state


def test_the_given_home_wins() -> None:
    assert locate_layout({"TEAL_HOME": "/somewhere/.teal"}).home == Path("/somewhere/.teal")
    assert locate_layout({}).home.name == ".teal"


@pytest.mark.parametrize("name", ["a ;b", "a #b", 'a"b', "a{b", "a\nb"])
def test_a_folder_that_would_corrupt_configuration_is_refused(name: str) -> None:
    with pytest.raises(BadInput):
        locate_layout({"TEAL_HOME": f"/tmp/{name}"})


def test_a_socket_path_is_never_longer_than_the_kernel_takes(tmp_path: Path) -> None:
    deep = Layout(tmp_path / ("d" * 90) / ".teal")
    assert len(bytes(deep.socket)) <= layouts.SOCKET_PATH_BYTES
    assert deep.socket != Layout(tmp_path / ("e" * 90) / ".teal").socket
    assert Layout(Path("/p/.teal")).socket == Path("/p/.teal/run/supervisor.sock")


def test_ports_are_chosen_once_and_kept(tmp_path: Path) -> None:
    home = Layout(tmp_path)
    first = choose_state(None, UpOptions(port=9443))
    inner = [
        *first.ports.blue,
        *first.ports.green,
        first.ports.redis,
        first.ports.elasticsearch,
        first.ports.elasticsearch_transport,
    ]
    assert len(set(inner)) == len(inner) == 7
    save_state(home, first)
    assert load_state(home) == first
    assert choose_state(first, UpOptions()) == first
    moved = choose_state(first, UpOptions(port=9444, search="elasticsearch"))
    assert (moved.ports.public, moved.search) == (9444, "elasticsearch")
    assert (moved.ports.blue, moved.ports.green) == (first.ports.blue, first.ports.green)


def test_a_state_from_before_there_were_two_colors_is_read_on(tmp_path: Path) -> None:
    old = {"public": 8443, "apps": [20001, 20002], "redis": 20003, "elasticsearch": 20004, "elasticsearch_transport": 20005}
    (tmp_path / "stack.json").write_text(json.dumps({"version": 1, "ports": old, "search": "embedded"}))
    state = load_state(Layout(tmp_path))
    assert state is not None
    assert state.ports.apps("blue") == (20001, 20002)
    assert len(set(state.ports.apps("green")) - {20001, 20002}) == 2
    assert len({state.ports.worker("blue"), state.ports.worker("green")}) == 2  # of before workers served their metrics


def test_a_damaged_state_file_is_an_error_that_says_how_to_go_on(tmp_path: Path) -> None:
    (tmp_path / "stack.json").write_text("{")
    with pytest.raises(BadInput) as caught:
        load_state(Layout(tmp_path))
    assert "teal up" in caught.value.next


def test_everything_private_is_closed_to_others(tmp_path: Path) -> None:
    home = Layout(tmp_path / ".teal")
    create_folders(home)
    write_private(home.admin_key, "secret")
    assert stat.S_IMODE(home.home.stat().st_mode) == 0o700
    assert stat.S_IMODE(home.keys.stat().st_mode) == 0o700
    assert stat.S_IMODE(home.admin_key.stat().st_mode) == 0o600


def test_the_sockets_of_a_deep_folder_are_found_from_every_shell(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    deep = Layout(tmp_path / ("deep" * 30) / ".teal")
    first, second = tmp_path / "1", tmp_path / "2"
    for folder in (first, second):
        folder.mkdir()
    monkeypatch.setattr(layouts.tempfile, "gettempdir", lambda: str(first))
    create_folders(deep)
    found = deep.run
    assert found.parent == first
    monkeypatch.setattr(layouts.tempfile, "gettempdir", lambda: str(second))
    create_folders(deep)
    assert deep.run == found
    shutil.rmtree(first)  # as a machine does that empties /tmp at its start
    create_folders(deep)
    assert deep.run.parent == second


@pytest.mark.parametrize("planted", ["a link to a folder of ours", "a link to nothing", "a file"])
def test_a_folder_of_sockets_that_somebody_else_made_is_not_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, planted: str
) -> None:
    """Its name can be known, and in the temporary folder everybody may make it first: sockets and pid files would be where they want."""
    deep, shared, ours, other = (
        Layout(tmp_path / ("deep" * 30) / ".teal"),
        tmp_path / "shared",
        tmp_path / "ours",
        tmp_path / "other",
    )
    for folder in (shared, ours, other):
        folder.mkdir()
    monkeypatch.setattr(layouts.tempfile, "gettempdir", lambda: str(shared))
    run = deep.run
    if planted == "a file":
        run.touch()
    else:
        run.symlink_to(ours if planted.endswith("ours") else tmp_path / "nothing")
    with pytest.raises(BadInput, match="a link or belongs to another user") as refused:
        create_folders(deep)
    assert refused.value.where == str(run)
    assert not list(ours.iterdir())
    assert not (tmp_path / "nothing").exists()
    monkeypatch.setattr(layouts.tempfile, "gettempdir", lambda: str(other))
    create_folders(deep)  # as the error says
    assert deep.run.parent == other
    assert stat.S_IMODE(deep.run.stat().st_mode) == 0o700


@pytest.mark.parametrize("where", ["the folder of the sockets", "a folder of the stack"])
def test_a_folder_of_another_user_is_refused_and_nothing_is_written_into_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    """Neither a link nor a file: a folder, whose owner could exchange what is in it. Who runs this is told to be somebody else."""
    home = Layout(tmp_path / ".teal")
    create_folders(home)
    folder = home.run if where == "the folder of the sockets" else home.conf
    before = set(home.home.rglob("*"))
    own = os.getuid()
    monkeypatch.setattr(layouts, "os", SimpleNamespace(**{**vars(os), "getuid": lambda: own + 1}))
    if where != "the folder of the sockets":
        monkeypatch.setattr(layouts, "is_foreign", lambda _: False)  # the other branch: what `_prepare` looks at by itself
    with pytest.raises(BadInput, match="belongs to another user") as refused:
        create_folders(home)
    assert refused.value.where == str(folder)
    assert set(home.home.rglob("*")) == before


@pytest.mark.skipif(os.getuid() != 0, reason="only root gives a folder away")
def test_a_folder_that_was_given_to_another_user_is_refused(tmp_path: Path) -> None:
    for taken in ("run", "conf"):
        home = Layout(tmp_path / taken / ".teal")
        create_folders(home)
        os.chown(getattr(home, taken), 65_534, 65_534)
        with pytest.raises(BadInput, match="belongs to another user") as refused:
            create_folders(home)
        assert refused.value.where == str(getattr(home, taken))


def test_a_folder_of_sockets_is_closed_to_others_whoever_opened_it(tmp_path: Path) -> None:
    home = Layout(tmp_path / ".teal")
    create_folders(home)
    home.run.chmod(0o777)
    create_folders(home)
    assert stat.S_IMODE(home.run.stat().st_mode) == 0o700


def test_a_stack_is_the_same_under_each_of_its_names(tmp_path: Path) -> None:
    """Else a second keeper would start again what `teal down` by the other name has ended."""
    real, link = tmp_path / "disk" / ".teal", tmp_path / "link"
    real.mkdir(parents=True)
    link.symlink_to(real)
    assert locate_layout({"TEAL_HOME": str(link)}) == locate_layout({"TEAL_HOME": str(real)})
    for mark in (str(real), str(link)):
        assert reap.is_home(mark, Layout(real))
        assert reap.is_home(mark, Layout(link)), "a stack that an earlier version started by its link"
    assert not reap.is_home(str(tmp_path / "disk"), Layout(real))
    assert not reap.is_home(None, Layout(real))


@pytest.mark.parametrize("inside", ["", "deeper/.teal"])
def test_a_place_that_is_no_folder_is_said_in_words(tmp_path: Path, inside: str) -> None:
    (tmp_path / "file").touch()
    place = Layout(tmp_path / "file" / inside)
    with pytest.raises(BadInput, match="cannot be made or written"):
        create_folders(place)
    with pytest.raises(BadInput, match="is no folder"):
        load_state(place)


def test_a_place_that_the_machine_refuses_is_said_in_words(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(*_: object, **__: object) -> None:
        raise OSError(30, "Read-only file system", str(tmp_path / ".teal"))

    monkeypatch.setattr(Path, "mkdir", refused)
    with pytest.raises(BadInput, match="Read-only file system"):
        create_folders(Layout(tmp_path / ".teal"))
