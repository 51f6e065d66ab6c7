"""Images for the node's containerd, written as docker archives without a builder: layers that are there already, and what is run."""

from __future__ import annotations

import hashlib
import io
import json
import tarfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

NOBODY: Final = "65532:65532"  # of an image that holds one program


def write(archive: Path, name: str, layers: Sequence[Path], config: Mapping[str, Any]) -> None:
    """`layers`: tar files, lowest first; `config`: what is run, as whom, in which folder."""
    digests = []
    for layer in layers:
        with layer.open("rb") as file:
            digests.append(f"sha256:{hashlib.file_digest(file, 'sha256').hexdigest()}")
    about = {"architecture": "amd64", "os": "linux", "config": config, "rootfs": {"type": "layers", "diff_ids": digests}}
    names = [f"{number}.tar" for number in range(len(layers))]
    manifest = [{"Config": "config.json", "RepoTags": [name], "Layers": names}]
    with tarfile.open(archive, "w") as packed:
        for path, said in zip(names, layers, strict=True):
            packed.add(said, path)
        for path, document in (("config.json", about), ("manifest.json", manifest)):
            add_file(packed, path, json.dumps(document).encode())


def write_program(archive: Path, name: str, program: Path, words: Sequence[str] = ()) -> None:
    """An image of one program without libraries; `words`: its arguments unless a pod has others."""
    layer = archive.with_suffix(".layer")
    with tarfile.open(layer, "w") as packed:
        packed.add(program, program.name)
    write(archive, name, [layer], {"Entrypoint": [f"/{program.name}"], "Cmd": list(words), "User": NOBODY})
    layer.unlink()


def add_file(packed: tarfile.TarFile, path: str, data: bytes, mode: int = 0o644) -> None:
    """A file that root owns."""
    member = tarfile.TarInfo(path)
    member.size, member.mode = len(data), mode
    packed.addfile(member, io.BytesIO(data))
