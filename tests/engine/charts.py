"""The chart repositories that the platform's program names, as a stand-in serves them: ECK's own chart, and one of the tests' own for KEDA's.

ECK's chart lies in its Go module. KEDA's is in no registry that is known here: kedacore/charts is no Go module. The one in keda_chart/ has
the same name, version, values, kinds and names of objects, and the definitions of KEDA's own module in its templates, as KEDA's has them.
"""

from __future__ import annotations

import io
import json
import tarfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import yaml

from infra.platform.cluster import autoscaling
from infra.platform.search import operator
from tests.parts.infra import definitions
from tests.services import eck_chart

HOSTS: Final = tuple(url.split("/")[2] for url in (autoscaling.REPOSITORY, operator.REPOSITORY))
KEDA: Final = "keda"
ECK: Final = "eck-operator"
# The same charts with image tags of these numbers: an upgrade is tried with them.
LATER: Final = {KEDA: "2.20.99", ECK: "3.5.99"}
_NOT_PACKED: Final = "templates/tests"  # by the chart's own .helmignore
_METRICS: Final = "external.metrics.k8s.io/v1beta1"


@dataclass(frozen=True)
class Chart:
    """`files`: by path in the chart."""

    metadata: Mapping[str, Any]
    files: Mapping[str, bytes]

    def packed(self) -> bytes:
        """As `helm package` packs it."""
        written = io.BytesIO()
        with tarfile.open(fileobj=written, mode="w:gz") as archive:
            for path, content in {"Chart.yaml": yaml.safe_dump(dict(self.metadata)).encode(), **self.files}.items():
                entry = tarfile.TarInfo(f"{self.metadata['name']}/{path}")
                entry.size = len(content)
                archive.addfile(entry, io.BytesIO(content))
        return written.getvalue()


def answers() -> dict[str, bytes]:
    """By URL: an index and the archives of each repository."""
    found: dict[str, bytes] = {}
    for repository, charts in ((autoscaling.REPOSITORY, _keda()), (operator.REPOSITORY, _eck())):
        rows: list[dict[str, Any]] = []
        for chart in charts:
            name = f"{chart.metadata['name']}-{chart.metadata['version']}.tgz"
            found[f"{repository}/{name}"] = chart.packed()
            rows.append({**chart.metadata, "urls": [name], "created": "2026-11-29T00:00:00Z"})
        found[f"{repository}/index.yaml"] = yaml.safe_dump({"apiVersion": "v1", "entries": {rows[0]["name"]: rows}}).encode()
    return found


def answer(held: Mapping[str, bytes], url: str) -> tuple[int, str, bytes]:
    """What tunnel.py asks: repositories for the provider, and KEDA's metrics API for the API server, without any metric."""
    body = held.get(url.replace(":443/", "/"))
    if body is not None:
        return 200, "application/octet-stream", body
    if url.partition("?")[0].endswith(f"/apis/{_METRICS}"):
        resources = {"kind": "APIResourceList", "apiVersion": "v1", "groupVersion": _METRICS, "resources": []}
        return 200, "application/json", json.dumps(resources).encode()
    return 404, "text/plain", b"not here"


def _keda() -> Iterator[Chart]:
    templates = {
        f"templates/crds/{path.name}": path.read_bytes().replace(b"{{", b'{{ "{{" }}')
        for path in sorted(
            (definitions.folder(definitions.KEDA, f"v{autoscaling.VERSION}") / "config" / "crd" / "bases").glob("*.yaml")
        )
    }
    objects = (Path(__file__).parent / "keda_chart" / "objects.yaml.tpl").read_bytes()
    for version in (autoscaling.VERSION, LATER[KEDA]):
        metadata = {"apiVersion": "v2", "name": KEDA, "version": version, "appVersion": version, "type": "application"}
        yield Chart(metadata, {**templates, "templates/objects.yaml": objects, "values.yaml": b"{}\n"})


def _eck() -> Iterator[Chart]:
    folder = eck_chart.folder()
    files = {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.name != ".helmignore" and not str(path.relative_to(folder)).startswith(_NOT_PACKED)
    }
    metadata = yaml.safe_load(files.pop("Chart.yaml"))
    assert metadata["version"] == operator.VERSION
    for version in (operator.VERSION, LATER[ECK]):
        yield Chart({**metadata, "version": version, "appVersion": version}, files)
