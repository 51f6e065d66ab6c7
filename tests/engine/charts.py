"""Stands in for the Helm repositories that the platform's operators come from, at the addresses that the program asks.

ECK's chart is its own, from its Go module. KEDA's is in no module: the one made here has KEDA's own definitions, and a Deployment in the
place of its pods. A proxy on loopback answers for both hosts; Pulumi's provider is told of it, and of the authority of its certificate.
"""

from __future__ import annotations

import io
import ssl
import tarfile
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

import yaml
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from infra.platform.cluster import autoscaling
from infra.platform.search import operator
from tests.parts.infra import definitions

ANSWER_SECONDS: Final = 60.0  # of silence, after which the proxy drops a connection
_DAY: Final = timedelta(days=1)
_ECK: Final = "eck-operator"
_KEDA: Final = "keda"
_DEFINITIONS: Final = """{{- range $path, $_ := .Files.Glob "definitions/*.yaml" }}
---
{{ $.Files.Get $path }}
{{- end }}
"""
_DEPLOYMENT: Final = """apiVersion: apps/v1
kind: Deployment
metadata:
  name: keda-operator
  namespace: {{ .Release.Namespace }}
spec:
  replicas: {{ .Values.operator.replicaCount }}
  selector:
    matchLabels: {app: keda-operator}
  template:
    metadata:
      labels: {app: keda-operator}
    spec:
      containers:
        - name: keda-operator
          image: keda.example/keda:{{ .Chart.AppVersion }}
          resources: {{ toJson .Values.resources.operator }}
          securityContext:
            allowPrivilegeEscalation: false
            runAsNonRoot: true
            capabilities: {drop: [ALL]}
            seccompProfile: {type: RuntimeDefault}
"""


@dataclass(frozen=True)
class Chart:
    """One repository with one chart in one version."""

    repository: str
    name: str
    version: str
    archive: bytes

    def index(self) -> bytes:
        """What Helm reads first."""
        entry = {"apiVersion": "v2", "name": self.name, "version": self.version, "urls": [f"{self.repository}/{self.name}.tgz"]}
        return yaml.safe_dump({"apiVersion": "v1", "entries": {self.name: [entry]}}).encode()


def charts() -> tuple[Chart, ...]:
    """Of both operators. Fetches Go modules the first time."""
    return (
        Chart(operator.REPOSITORY, _ECK, operator.VERSION, _packed(_ECK, _of_eck())),
        Chart(autoscaling.REPOSITORY, _KEDA, autoscaling.VERSION, _packed(_KEDA, _of_keda())),
    )


@contextmanager
def serving(folder: Path, offered: tuple[Chart, ...]) -> Iterator[dict[str, str]]:
    """Yields the variables with which Pulumi's provider asks here, and keeps what it fetched in `folder`."""
    hosts = sorted({str(urlsplit(chart.repository).hostname) for chart in offered})
    files = {url: body for chart in offered for url, body in _answers(chart).items()}
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(_certificate(folder, hosts))
    server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(files, context))
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        homes = {f"HELM_{kind}_HOME": str(folder / kind.lower()) for kind in ("CACHE", "CONFIG", "DATA")}
        yield {"HTTPS_PROXY": f"http://127.0.0.1:{server.server_port}", "SSL_CERT_FILE": str(folder / "charts.pem"), **homes}
    finally:
        server.shutdown()
        server.server_close()


def _answers(chart: Chart) -> dict[str, bytes]:
    return {f"{chart.repository}/index.yaml": chart.index(), f"{chart.repository}/{chart.name}.tgz": chart.archive}


def _handler(files: Mapping[str, bytes], context: ssl.SSLContext) -> type[BaseHTTPRequestHandler]:
    class Proxy(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        timeout = ANSWER_SECONDS

        def do_CONNECT(self) -> None:
            """What the client now says to the host it says to this server, under TLS."""
            self.send_response(200)
            self.end_headers()
            self.connection = context.wrap_socket(self.connection, server_side=True)
            self.rfile, self.wfile = self.connection.makefile("rb"), self.connection.makefile("wb", 0)  # type: ignore[assignment]
            self.close_connection = False

        def do_GET(self) -> None:
            body = files.get(f"https://{self.headers['Host']}{self.path}")
            self.send_response(404 if body is None else 200)
            self.send_header("Content-Length", str(len(body or b"")))
            self.end_headers()
            self.wfile.write(body or b"")

        def log_message(self, *_: Any) -> None:
            pass

    return Proxy


def _of_eck() -> dict[str, bytes]:
    (module,) = {one for one in definitions.SOURCES.values() if one.version == f"v{operator.VERSION}"}
    top = definitions.folder(module) / "deploy" / _ECK
    return {str(path.relative_to(top)): path.read_bytes() for path in top.rglob("*") if path.is_file()}


def _of_keda() -> dict[str, bytes]:
    of_keda = [one for (api_version, _), one in definitions.SOURCES.items() if api_version.startswith("keda.sh/")]
    made = {f"definitions/{Path(one.file).name}": (definitions.folder(one) / one.file).read_bytes() for one in of_keda}
    about = {"apiVersion": "v2", "name": _KEDA, "version": autoscaling.VERSION, "appVersion": autoscaling.VERSION}
    templates = {"templates/definitions.yaml": _DEFINITIONS, "templates/operator.yaml": _DEPLOYMENT}
    return {"Chart.yaml": yaml.safe_dump(about).encode(), **{name: text.encode() for name, text in templates.items()}, **made}


def _packed(name: str, files: Mapping[str, bytes]) -> bytes:
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w:gz") as packed:
        for path, data in sorted(files.items()):
            member = tarfile.TarInfo(f"{name}/{path}")
            member.size = len(data)
            packed.addfile(member, io.BytesIO(data))
    return archive.getvalue()


def _certificate(folder: Path, hosts: list[str]) -> Path:
    """A certificate for these hosts that is its own authority, with its key, in charts.pem."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "charts of these tests")])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number(), now - _DAY, now + _DAY)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(host) for host in hosts]), critical=False)
        .sign(key, hashes.SHA256())
    )
    path = folder / "charts.pem"
    path.touch(mode=0o600)
    path.write_bytes(made.public_bytes(Encoding.PEM) + key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    return path
