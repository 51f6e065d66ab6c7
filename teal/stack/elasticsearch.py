"""A real Elasticsearch 8.19 for the laptop: unpacked from a pinned zip, one node, loopback only, without security.

Security is off because the node listens on loopback alone and holds what `.teal/` holds already; production has it on.
"""

from __future__ import annotations

import os
import re
import shutil
import stat
import subprocess
import tempfile
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

from teal.errors import BadInput, FetchFailed
from teal.stack.artifacts import ELASTICSEARCH
from teal.stack.fetch import resolve
from teal.stack.layout import Layout, StackState
from teal.stack.parts import Part

UNPRIVILEGED = "nobody"  # Elasticsearch refuses to run as root
LEAST_JAVA = 17
BOOT_SECONDS = 120  # 20 s on two idle cores
BIG_MEMORY_BYTES = 8 << 30  # from here on a 1 GiB heap is no burden
JAVA_HINT = "install a JDK 17 or newer (Debian, Ubuntu: `apt install openjdk-17-jdk-headless`; macOS: `brew install openjdk@17`), then `teal up --search elasticsearch`"


@dataclass(frozen=True, slots=True)
class Java:
    home: Path
    version: int


def find_java(environ: Mapping[str, str]) -> Java:
    """JAVA_HOME, else `java` on PATH. Raises BadInput with the install command when there is none new enough."""
    given = environ.get("JAVA_HOME")
    program = str(Path(given) / "bin" / "java") if given else shutil.which("java", path=environ.get("PATH"))
    if program is None or not Path(program).is_file():
        raise BadInput(
            "Elasticsearch needs a JDK and none was found",
            where=f"JAVA_HOME={given}" if given else "java on PATH",
            next=JAVA_HINT,
        )
    try:
        said = subprocess.run((program, "-version"), capture_output=True, text=True, timeout=30, check=False).stderr  # noqa: S603
    except (OSError, subprocess.TimeoutExpired) as error:
        raise BadInput(f"Java does not run: {error}", where=program, next=JAVA_HINT) from error
    version = java_version(said)
    if version < LEAST_JAVA:
        raise BadInput(
            f"Elasticsearch needs Java {LEAST_JAVA} or newer, this is {version or 'unknown'}", where=program, next=JAVA_HINT
        )
    return Java(Path(program).resolve().parents[1], version)


def java_version(text: str) -> int:
    """The feature release in the output of `java -version`; 0 when there is none. (1.8 is 8.)"""
    found = re.search(r'version "(?:1\.)?(\d+)', text)
    return int(found.group(1)) if found else 0


def run_as() -> str | None:
    return UNPRIVILEGED if os.getuid() == 0 else None


def choose_home(layout: Layout, previous: Path | None) -> Path:
    """Where it lives: inside `.teal/`, or, when it must run as another user who cannot get there, under /var/tmp."""
    if previous is not None:
        return previous
    if run_as() is None:
        return layout.home / "elasticsearch"
    name = sha256(os.fsencode(layout.home)).hexdigest()[:12]
    outer = Path("/var/tmp") if Path("/var/tmp").is_dir() else Path(tempfile.gettempdir())  # noqa: S108
    return outer / f"teal-elasticsearch-{name}"


def config(state: StackState, home: Path) -> str:
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


def install(state: StackState, home: Path) -> Path:
    """Fetch and unpack when needed, write the configuration, hand it to the user it runs as. Returns the program's folder."""
    program = home / f"elasticsearch-{ELASTICSEARCH.version}"
    home.mkdir(parents=True, exist_ok=True, mode=0o700)
    if home.is_symlink() or home.stat().st_uid != os.getuid():
        raise BadInput(
            "The folder belongs to another user", where=str(home), next=f"remove {home}, then `teal up --search elasticsearch`"
        )
    home.chmod(0o755 if run_as() else 0o700)  # whoever it runs as has to get through; the data below is closed
    if not program.is_dir():
        _unpack(resolve(ELASTICSEARCH), home, program)
    (program / "config" / "elasticsearch.yml").write_text(config(state, home), encoding="utf-8")
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
        unpacked.rename(program)
    except (OSError, zipfile.BadZipFile) as error:
        raise FetchFailed("elasticsearch", str(error), next="teal up --search elasticsearch") from error
    finally:
        shutil.rmtree(part, ignore_errors=True)


def part(home: Path, java: Java) -> Part:
    """The supervised program."""
    program = home / f"elasticsearch-{ELASTICSEARCH.version}"
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
    return Part("elasticsearch", (str(program / "bin" / "elasticsearch"),), env, str(home), user=run_as(), stop_seconds=40)
