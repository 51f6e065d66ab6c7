"""A real Elasticsearch 8.19 for the laptop: unpacked from a pinned zip, one node, loopback only, without security.

Security is off because the node listens on loopback alone and contains no more than `.teal/` does; in production it is on.
"""

from __future__ import annotations

import os
import shutil
import stat
import tempfile
import zipfile
from collections.abc import Collection, Iterator, Mapping
from hashlib import sha256
from pathlib import Path

import httpx

from teal.errors import BadInput, FetchFailed
from teal.events import Event
from teal.laptop.artifacts import ELASTICSEARCH
from teal.laptop.fetch import resolve
from teal.laptop.files import first_damaged_file, flush_tree, note_digests
from teal.laptop.java import Java, find_java
from teal.laptop.layout import Layout
from teal.laptop.parts.part import CheckRow, Part, PartContext
from teal.laptop.program import Program
from teal.laptop.state import LaptopState

UNPRIVILEGED = "nobody"  # Elasticsearch refuses to run as root
BOOT_SECONDS = 120  # 20 s on two idle cores
STOP_SECONDS = 40
ANSWER_SECONDS = 3.0
BIG_MEMORY_BYTES = 8 << 30  # with this much memory a 1 GiB heap is no burden


class ElasticsearchPart(Part):
    """Our own node, when Elasticsearch is wanted and ELASTICSEARCH_URL names no other."""

    name = "elasticsearch"
    ports = ("elasticsearch", "elasticsearch_transport")
    before_schema = True
    ready_seconds = BOOT_SECONDS

    def settle(self, place: PartContext) -> LaptopState:
        if not _is_own(place):
            return place.state
        return place.state.model_copy(update={"elasticsearch_home": choose_home(place.layout, place.state.elasticsearch_home)})

    def programs(self, place: PartContext) -> tuple[Program, ...]:
        return (program(_home(place), find_java(place.environ)),) if _is_own(place) else ()

    def service_env(self, place: PartContext) -> Mapping[str, str]:
        return {"ELASTICSEARCH_URL": url(place)} if place.state.search == "elasticsearch" else {}

    def before_start(self, place: PartContext) -> Iterator[Event]:
        home = _home(place)
        doing = "starting" if home.is_dir() else "fetching 107 MB, unpacking and starting"
        yield Event(self.name, "start", f"{doing}; security is off, it listens on loopback only")
        install_elasticsearch(place.state, home)

    def health(self, place: PartContext, program: str) -> tuple[bool, str]:
        return probe_elasticsearch(url(place))

    def status(self, place: PartContext, known: Collection[str]) -> list[CheckRow]:
        if place.state.search != "elasticsearch":
            return []
        rows = []
        if self.name not in known:
            good, said = probe_elasticsearch(url(place))
            mend = "" if good else "start it, or `teal up --search embedded`"
            rows.append(CheckRow(self.name, good, f"ELASTICSEARCH_URL {said}", mend))
        if blocked := write_blocks(url(place)):
            said = f"{', '.join(blocked)} take no write: the disk passed Elasticsearch's flood stage, or a person blocked them"
            rows.append(
                CheckRow("index", False, said, "free disk space; Elasticsearch lifts the block by itself. runbooks/disk-full.md")
            )
        return rows

    def doctor(self, place: PartContext) -> list[CheckRow]:
        return [java_row(place.environ, needed=_is_own(place))]


def _is_own(place: PartContext) -> bool:
    return place.state.search == "elasticsearch" and not place.environ.get("ELASTICSEARCH_URL")


def _home(place: PartContext) -> Path:
    return place.state.elasticsearch_home or choose_home(place.layout, None)


def run_as() -> str | None:
    return UNPRIVILEGED if os.getuid() == 0 else None


def choose_home(layout: Layout, previous: Path | None) -> Path:
    """The folder to install it in: inside `.teal/`, or under /var/tmp when it must run as another user,
    who cannot read `.teal/`."""
    if previous is not None:
        return previous
    if run_as() is None:
        return layout.home / "elasticsearch"
    name = sha256(os.fsencode(layout.home)).hexdigest()[:12]
    outer = Path("/var/tmp") if Path("/var/tmp").is_dir() else Path(tempfile.gettempdir())  # noqa: S108
    return outer / f"teal-elasticsearch-{name}"


def elasticsearch_yml(state: LaptopState, home: Path) -> str:
    """elasticsearch.yml."""
    return f"""\
cluster.name: teal-laptop
node.name: laptop
discovery.type: single-node
network.host: 127.0.0.1
http.port: {state.ports.elasticsearch}
transport.port: {state.ports.elasticsearch_transport}
path.data: {home / "data"}
path.logs: {home / "logs"}
path.repo: {home / "snapshots"}
xpack.security.enabled: false
# A laptop's disk is often nearly full; the defaults are shares of it and would make the index read-only.
cluster.routing.allocation.disk.watermark.low: 2gb
cluster.routing.allocation.disk.watermark.high: 1gb
cluster.routing.allocation.disk.watermark.flood_stage: 500mb
"""


def install_elasticsearch(state: LaptopState, home: Path) -> Path:
    """Fetch and unpack when needed, write the configuration, hand it to the user it runs as. Returns the program's folder."""
    program = home / f"elasticsearch-{ELASTICSEARCH.version}"
    home.mkdir(parents=True, exist_ok=True, mode=0o700)
    if home.is_symlink() or home.stat().st_uid != os.getuid():
        raise BadInput(
            "The folder belongs to another user", where=str(home), next=f"remove {home}, then `teal up --search elasticsearch`"
        )
    # Elasticsearch's user must be able to enter this folder to reach the program; the data folders below stay private.
    home.chmod(0o755 if run_as() else 0o700)
    note = home / f"{program.name}.sha256.json"
    if program.is_dir() and first_damaged_file(program, note):
        shutil.rmtree(program)
    if not program.is_dir():
        _unpack(resolve(ELASTICSEARCH), home, program)
        # Only its configuration is written by this module; every other file must stay as unpacked.
        note_digests(
            program, (path for path in program.rglob("*") if path.is_file() and path.parent.name in ("bin", "lib")), note
        )
    (program / "config" / "elasticsearch.yml").write_text(elasticsearch_yml(state, home), encoding="utf-8")
    owned = [home / name for name in ("data", "logs", "snapshots", "tmp")]
    for folder in owned:
        folder.mkdir(exist_ok=True, mode=0o700)
    if user := run_as():
        for folder in (*owned, program / "config"):
            shutil.chown(folder, user)
            for path in folder.rglob("*"):
                shutil.chown(path, user)
    return program


def _unpack(archive: Path, home: Path, program: Path) -> None:
    part = Path(tempfile.mkdtemp(prefix=".part-", dir=home))
    try:
        with zipfile.ZipFile(archive) as file:
            file.extractall(part)
        unpacked = part / program.name
        for path in (unpacked, *unpacked.rglob("*")):  # zipfile keeps no modes, and this user's umask may close them
            runs = path.is_dir() or path.parent.name == "bin"
            path.chmod(stat.S_IRUSR | stat.S_IWUSR | stat.S_IRGRP | stat.S_IROTH | (0o111 if runs else 0))
        flush_tree(unpacked)
        unpacked.rename(program)
    except (OSError, zipfile.BadZipFile) as error:
        raise FetchFailed("elasticsearch", str(error), next="teal up --search elasticsearch") from error
    finally:
        shutil.rmtree(part, ignore_errors=True)


def program(home: Path, java: Java) -> Program:
    """The supervised program."""
    folder = home / f"elasticsearch-{ELASTICSEARCH.version}"
    memory_bytes = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    heap = "1g" if memory_bytes >= BIG_MEMORY_BYTES else "512m"
    env = {
        "ES_JAVA_HOME": str(java.home),
        "ES_JAVA_OPTS": f"-Xms{heap} -Xmx{heap}",
        "ES_TMPDIR": str(home / "tmp"),
        "PATH": "/usr/local/bin:/usr/bin:/bin",
        "HOME": str(home),
        "LANG": "C.UTF-8",
    }
    argv = (str(folder / "bin" / "elasticsearch"),)
    return Program("elasticsearch", argv, env, str(home), user=run_as(), stop_seconds=STOP_SECONDS)


def url(place: PartContext) -> str:
    """The URL for the service: ELASTICSEARCH_URL, else the stack's own node."""
    return place.environ.get("ELASTICSEARCH_URL") or f"http://127.0.0.1:{place.state.ports.elasticsearch}"


def probe_elasticsearch(url: str) -> tuple[bool, str]:
    """Whether the cluster answers and is not red. (The reduced distribution has no `GET /`.)"""
    try:
        answer = httpx.get(f"{url.rstrip('/')}/_cluster/health", timeout=ANSWER_SECONDS, trust_env=False)
    except httpx.HTTPError as error:
        return False, f"does not answer ({type(error).__name__})"
    if answer.status_code in (401, 403):
        return True, "answers; whether its credentials are right, the app's readiness says"
    colour = answer.json().get("status") if answer.status_code == 200 else None
    return colour in ("green", "yellow"), f"cluster is {colour}" if colour else f"HTTP {answer.status_code}"


def write_blocks(url: str) -> list[str]:
    """Indexes that refuse writes; empty when there is none, or when the node does not answer (its health check reports that)."""
    try:
        answer = httpx.get(
            f"{url.rstrip('/')}/_all/_settings/index.blocks.*?flat_settings=true", timeout=ANSWER_SECONDS, trust_env=False
        )
        found = answer.json() if answer.status_code == 200 else {}
    except (httpx.HTTPError, ValueError):
        return []
    refusing = ("read_only", "read_only_allow_delete", "write")
    return sorted(
        name
        for name, one in found.items()
        if any(one.get("settings", {}).get(f"index.blocks.{block}") == "true" for block in refusing)
    )


def java_row(environ: Mapping[str, str], *, needed: bool) -> CheckRow:
    """Whether there is a JDK that Elasticsearch can run on."""
    try:
        java = find_java(environ)
    except BadInput as error:
        return CheckRow("jdk", not needed, f"{error.what} (only for --search elasticsearch)", error.next if needed else "")
    return CheckRow("jdk", True, f"{java.version} at {java.home} (only for --search elasticsearch)")
