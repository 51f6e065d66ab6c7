"""A real Elasticsearch for benchmarks and tests: one node on loopback, from the zip of Maven's integ-test distribution."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import tempfile
import time
import urllib.error
import urllib.request
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from loadtests.loopback import free_port

MAVEN_ZIP: Final = "repository/org/elasticsearch/distribution/integ-test-zip/elasticsearch/8.19.21/elasticsearch-8.19.21.zip"

BOOT_SECONDS: Final = 120  # 20 s alone on two cores; CI machines are slower
STOP_SECONDS: Final = 20
CONFIGURATION: Final = """\
cluster.name: teal-test
discovery.type: single-node
network.host: 127.0.0.1
http.port: {port}
transport.port: {transport}
path.data: {home}/data
path.logs: {home}/logs
xpack.security.enabled: false
cluster.routing.allocation.disk.threshold_enabled: false
action.destructive_requires_name: false
path.repo: {home}/snapshots
"""


def archive() -> Path:
    """The path of the zip, whether it exists or not: TEAL_ELASTICSEARCH_ZIP, else its place in the local Maven repository."""
    default = Path(os.environ.get("M2_REPO", Path.home() / ".m2")) / MAVEN_ZIP
    return Path(os.environ.get("TEAL_ELASTICSEARCH_ZIP", default))


def node_variables(home: Path) -> dict[str, str]:
    """The node's environment variables: the caller's PATH, language and Java, 512 MiB of heap, and folders of its own."""
    kept = {name: os.environ[name] for name in ("PATH", "JAVA_HOME", "LANG") if name in os.environ}
    java = os.environ.get("JAVA_HOME") or str(Path(os.path.realpath(shutil.which("java") or "/usr/bin/java")).parent.parent)
    return {**kept, "ES_JAVA_HOME": java, "ES_JAVA_OPTS": "-Xms512m -Xmx512m", "HOME": str(home), "ES_TMPDIR": str(home / "tmp")}


@contextmanager
def start(
    archive: Path,
    work: Path,
    *,
    port: int | None = None,
    transport: int | None = None,
    configuration: str = CONFIGURATION,
    variables: Callable[[Path], dict[str, str]] = node_variables,
) -> Iterator[str]:
    """Unpack the zip, start the node, yield its address, and stop the node at the end. Elasticsearch refuses to run as root: then it is
    started as `nobody`. Without ports it takes free ones. `variables` makes the node's environment of its home folder, which is complete then.
    """
    root = os.geteuid() == 0
    home = Path(
        tempfile.mkdtemp(prefix="teal-elasticsearch-", dir=None if root else work)
    )  # `nobody` may not enter pytest's folders
    try:
        with zipfile.ZipFile(archive) as bundle:
            bundle.extractall(home)
        (home / "tmp").mkdir()  # not the home itself: entitlements forbid a temporary folder that contains lib
        (distribution,) = home.glob("elasticsearch-*")
        port, transport = port or free_port(), transport or free_port()
        (distribution / "config" / "elasticsearch.yml").write_text(
            configuration.format(port=port, transport=transport, home=home)
        )
        for program in (*(distribution / "bin").iterdir(), *(distribution / "modules").glob("*/platform/*/bin/*")):
            program.chmod(0o755)
        if root:
            _give_to_nobody(home)
        log = (home / "console.log").open("w")
        process = subprocess.Popen(  # noqa: S603 - a program of the zip that the caller named
            [str(distribution / "bin" / "elasticsearch")], cwd=home, env=variables(home), stdout=log, stderr=subprocess.STDOUT,
            start_new_session=True, **({"user": "nobody", "group": "nogroup", "extra_groups": []} if root else {}),  # type: ignore[call-overload]
        )  # fmt: skip
        try:
            url = f"http://127.0.0.1:{port}"
            _wait(url, process, home / "console.log")
            yield url
        finally:
            _stop(process)
    finally:
        shutil.rmtree(home, ignore_errors=True)


def _give_to_nobody(home: Path) -> None:
    for path in (home, *home.rglob("*")):
        shutil.chown(path, "nobody", "nogroup")


def _wait(url: str, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + BOOT_SECONDS
    while time.monotonic() < deadline:
        if process.poll() is not None:
            break
        try:
            with urllib.request.urlopen(  # noqa: S310 - loopback, over HTTP
                f"{url}/_cluster/health?wait_for_status=yellow&timeout=5s", timeout=6
            ):
                return
        except (urllib.error.URLError, OSError):
            time.sleep(0.3)
    raise RuntimeError(
        f"Elasticsearch ended or did not answer within {BOOT_SECONDS} s; its log ends:\n{log.read_text(errors='replace')[-3000:]}"
    )


def _stop(process: subprocess.Popen[bytes]) -> None:
    """Stop the node: the launcher and its server, which form one process group."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        try:
            os.killpg(process.pid, number)
            process.wait(STOP_SECONDS)
        except ProcessLookupError:
            return
        except subprocess.TimeoutExpired:
            continue
