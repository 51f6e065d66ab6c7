"""`Pulumi.<stack>.yaml`: read as YAML, changed as text, so that an operator's comments stay."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from teal.errors import BadInput


@dataclass(frozen=True, slots=True)
class StackFile:
    """What bootstrap and destroy need of it."""

    path: Path
    stack: str
    region: str
    secrets_provider: str | None
    encrypted_key: str | None


def read(folder: Path, stack: str) -> StackFile:
    """The file of `stack` in `folder`. Raises BadInput when it is not there, no YAML, or names no region."""
    path = folder / f"Pulumi.{stack}.yaml"
    known = ", ".join(sorted(each.name.split(".")[1] for each in folder.glob("Pulumi.*.yaml"))) or "none"
    if not path.is_file():
        raise BadInput(f"There is no stack {stack!r}; known here: {known}", where=str(path), next="teal bootstrap dev")
    try:
        document = yaml.safe_load(path.read_text(encoding="utf-8"))
    except yaml.YAMLError as error:
        raise BadInput(f"It is not YAML: {' '.join(str(error).split())}", where=str(path), next=f"correct {path.name}") from None
    values: dict[str, Any] = document if isinstance(document, dict) else {}
    region = (values.get("config") or {}).get("aws:region")
    if not isinstance(region, str):
        raise BadInput("It names no region", where=str(path), next=f"write aws:region under config: in {path.name}")
    return StackFile(path, stack, region, values.get("secretsprovider"), values.get("encryptedkey"))


def write_key(file: StackFile, secrets_provider: str, encrypted_key: str) -> None:
    """Put the two lines at the file's top, in place of older ones; the rest stays as it is. The file is replaced whole or not at all."""
    kept = [
        line
        for line in file.path.read_text(encoding="utf-8").splitlines(keepends=True)
        if not line.startswith(("secretsprovider:", "encryptedkey:"))
    ]
    text = f"secretsprovider: {secrets_provider}\nencryptedkey: {encrypted_key}\n{''.join(kept)}"
    draft = file.path.with_name(f".{file.path.name}.draft")
    draft.write_text(text, encoding="utf-8")
    os.replace(draft, file.path)
