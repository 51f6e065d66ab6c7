"""An image of the tests' Elasticsearch under the name and the layout of Elastic's, for ECK's operator: Debian with Java, curl and nc, the zip that
`make fetch` brings, and a stand-in plugin (`elasticsearch_stand_in/`) for the two things that the operator asks for and the zip lacks.

`python -m tests.services.elasticsearch_image` builds it as root and prints where the archive is.
"""

from __future__ import annotations

import io
import resource
import subprocess
import tarfile
import tempfile
import zipfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

from loadtests.bench import elasticsearch_node
from teal.laptop.artifacts import ELASTICSEARCH
from tests.node import images
from tests.services import app_image

NAME: Final = f"docker.elastic.co/elasticsearch/elasticsearch:{ELASTICSEARCH.version}"
COPIED: Final = ("tests/services/elasticsearch_image.py", "tests/services/elasticsearch_stand_in", "teal/laptop/artifacts.py")
FEW_FILES: Final = resource.getrlimit(resource.RLIMIT_NOFILE)[1] < 65_535  # with which Elasticsearch refuses to form a cluster
OPEN_FILES: Final = "/usr/local/lib/open_files.so"  # in the image then
USER: Final = 1000  # and group 0, as in Elastic's
_HOME: Final = "usr/share/elasticsearch"
_PACKAGES: Final = ("openjdk-17-jre-headless", "curl", "netcat-openbsd", "tini", "ca-certificates")
_JAVA: Final = "/usr/lib/jvm/java-17-openjdk-amd64"
_ENTRY: Final = "/usr/local/bin/docker-entrypoint.sh"
_SOURCES: Final = Path("/etc/apt/sources.list.d/debian.sources")
_STAND_IN: Final = Path(__file__).with_name("elasticsearch_stand_in")
_PLUGIN: Final = "teal-stand-in"
_DESCRIPTOR: Final = f"""\
name={_PLUGIN}
description=of Teal's tests, not Elastic's: what ECK's operator asks for and the zip of Maven lacks
version=1
elasticsearch.version={ELASTICSEARCH.version}
java.version=17
classname=teal.tests.StandIn
"""
_PROVIDER: Final = "org.elasticsearch.reservedstate.ReservedClusterStateHandlerProvider"
_BASE_SECONDS: Final = 600.0  # a download of 150 MB and its installation: 60 s on two quiet cores


def archive() -> Path:
    """The archive's place in the cache folder; its name is a digest of what it is made of."""
    return app_image.archive_of("elasticsearch", COPIED)


def build() -> Path:
    """The archive; built now where it is missing, as root, with mmdebstrap and javac. Archives of other states of the tree are removed."""
    found = archive()
    if not found.exists():
        found.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix="teal-elasticsearch-image-", dir="/var/tmp") as work:
            base, layer, draft = (Path(work) / name for name in ("base.tar", "layer.tar", "draft.tar"))
            _debian(base)
            with zipfile.ZipFile(elasticsearch_node.archive()) as bundle, tarfile.open(layer, "w") as packed:
                _add_elasticsearch(bundle, packed)
                _add_stand_in(Path(work), bundle, packed)
                if FEW_FILES:
                    _add_open_files(Path(work), packed)
                images.add_file(packed, _ENTRY[1:], f"#!/bin/sh\nexec /{_HOME}/bin/elasticsearch\n".encode(), 0o755)
            images.write(draft, NAME, [base, layer], _config())
            subprocess.run(["mv", draft, found], check=True)  # the cache may be on another disk
    app_image.remove_others(found)
    return found


def _config() -> dict[str, object]:
    path = f"/{_HOME}/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
    return {
        "Entrypoint": ["/usr/bin/tini", "--", _ENTRY], "User": f"{USER}:0", "WorkingDir": f"/{_HOME}",
        "Env": [f"PATH={path}", f"ES_JAVA_HOME={_JAVA}", "ELASTIC_CONTAINER=true"],
    }  # fmt: skip


def _debian(target: Path) -> None:
    user = f'echo "elasticsearch:x:{USER}:0::/{_HOME}:/bin/bash" >> "$1/etc/passwd"'
    command = ["mmdebstrap", "--variant=minbase", "--format=tar", f"--include={','.join(_PACKAGES)}", f"--customize-hook={user}"]
    _run([*command, "bookworm", str(target), str(_SOURCES)], _BASE_SECONDS)


def _add_elasticsearch(bundle: zipfile.ZipFile, packed: tarfile.TarFile) -> None:
    folders = ["bin", "config", "data", "logs", "plugins", f"plugins/{_PLUGIN}"]
    for name in ("", *folders):
        _add_folder(packed, f"{_HOME}/{name}".rstrip("/"))
    for entry in bundle.infolist():
        name = entry.filename.partition("/")[2].rstrip("/")
        if entry.is_dir():
            if name and name not in folders:
                _add_folder(packed, f"{_HOME}/{name}")
        else:
            programs = name.startswith("bin/") or "/bin/" in name
            images.add_file(packed, f"{_HOME}/{name}", bundle.read(entry), 0o775 if programs else 0o664)


def _add_folder(packed: tarfile.TarFile, name: str) -> None:
    """Its owner is root, and the group may write, as in Elastic's."""
    member = tarfile.TarInfo(name)
    member.type, member.mode = tarfile.DIRTYPE, 0o775
    packed.addfile(member)


def _add_stand_in(work: Path, bundle: zipfile.ZipFile, packed: tarfile.TarFile) -> None:
    libraries = [name for name in bundle.namelist() if name.count("/") == 2 and "/lib/" in name and name.endswith(".jar")]
    bundle.extractall(work / "zip", libraries)
    classpath = ":".join(str(work / "zip" / name) for name in libraries)
    classes = work / "classes"
    _run(
        [
            "javac",
            "-proc:none",
            "--release",
            "17",
            "-cp",
            classpath,
            "-d",
            str(classes),
            *map(str, sorted(_STAND_IN.glob("*.java"))),
        ]
    )
    jar = io.BytesIO()
    with zipfile.ZipFile(jar, "w") as written:
        for path in _classes(classes):
            written.write(path, path.relative_to(classes))
        written.writestr(f"META-INF/services/{_PROVIDER}", "teal.tests.StandIn$EmptyState\n")
    images.add_file(packed, f"{_HOME}/plugins/{_PLUGIN}/stand-in.jar", jar.getvalue())
    images.add_file(packed, f"{_HOME}/plugins/{_PLUGIN}/plugin-descriptor.properties", _DESCRIPTOR.encode())


def _add_open_files(work: Path, packed: tarfile.TarFile) -> None:
    library = work / "open_files.so"
    _run(["gcc", "-shared", "-fPIC", "-O1", "-o", str(library), str(_STAND_IN / "open_files.c"), "-ldl"])
    images.add_file(packed, OPEN_FILES[1:], library.read_bytes(), 0o755)


def _classes(folder: Path) -> Iterator[Path]:
    yield from sorted(folder.rglob("*.class"))


def _run(command: Sequence[str], seconds: float = 120.0) -> None:
    ended = subprocess.run(command, capture_output=True, text=True, timeout=seconds, check=False)
    if ended.returncode:
        raise RuntimeError(f"{command[0]} ended with {ended.returncode}: {ended.stderr.strip()[-1500:]}")


if __name__ == "__main__":
    print(build())
