"""Another version of an image that a node holds: one layer more, made here, over those that are there. What a build would take minutes for."""

from __future__ import annotations

import hashlib
import io
import json
import tarfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from tests.node.machine import Machine

ROOT: Final = Path(__file__).resolve().parents[3]
CODE: Final = "opt/teal/lib/python3.11/site-packages"  # where app/Dockerfile puts the packages
_CTR: Final = ("ctr", "--namespace", "k8s.io")
_BAD: Final = ROOT / "tests" / "bad_versions"


def overlay(name: str) -> dict[str, bytes]:
    """Files of the image with a bad version's parts appended (tests/bad_versions), by path."""
    files = {}
    for part in (_BAD / name).rglob("*.part"):
        relative = part.relative_to(_BAD / name).with_suffix("")
        files[f"{CODE}/{relative}"] = (ROOT / relative).read_bytes() + b"\n\n" + part.read_bytes()
    assert files, f"there is no bad version {name}"
    return files


def add_layer(machine: Machine, digest: str, files: Mapping[str, bytes], name: str) -> None:
    """Make the image `name` of the one with this digest."""
    manifest = _json(machine, digest)
    layer = _tar(files)
    config = _json(machine, manifest["config"]["digest"])
    config["rootfs"]["diff_ids"].append(_digest(layer))
    config.get("history", []).append({"created_by": "tests/node/release/image_layer.py"})
    kind = manifest["layers"][0]["mediaType"].removesuffix(".gzip").removesuffix("+gzip")
    told = json.dumps(config).encode()
    manifest["layers"].append({"mediaType": kind, "digest": _digest(layer), "size": len(layer)})
    manifest["config"] |= {"digest": _digest(told), "size": len(told)}
    whole = json.dumps(manifest).encode()
    entry = {
        "mediaType": manifest.get("mediaType", "application/vnd.oci.image.manifest.v1+json"), "digest": _digest(whole), "size": len(whole),
        "annotations": {"io.containerd.image.name": name},
    }  # fmt: skip
    index = json.dumps({"schemaVersion": 2, "manifests": [entry]}).encode()
    archive = machine.folder / "layer.tar"
    blobs = {f"blobs/sha256/{_digest(blob).partition(':')[2]}": blob for blob in (layer, told, whole)}
    archive.write_bytes(_tar({"oci-layout": b'{"imageLayoutVersion": "1.0.0"}', "index.json": index, **blobs}))
    machine.run(*_CTR, "images", "import", str(archive))


def _json(machine: Machine, digest: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(machine.run(*_CTR, "content", "get", digest))
    if "manifests" in found:
        return _json(machine, found["manifests"][0]["digest"])
    return found


def _tar(files: Mapping[str, bytes]) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as packed:
        for path, data in files.items():
            member = tarfile.TarInfo(path)
            member.size, member.mode = len(data), 0o644
            packed.addfile(member, io.BytesIO(data))
    return out.getvalue()


def _digest(data: bytes) -> str:
    return f"sha256:{hashlib.sha256(data).hexdigest()}"
