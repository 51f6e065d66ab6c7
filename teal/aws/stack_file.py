"""`Pulumi.<stack>.yaml`: read as YAML, changed as text, so that an operator's comments stay."""

from __future__ import annotations

import difflib
import os
from dataclasses import dataclass
from pathlib import Path

from contract import stack_file
from teal.errors import BadInput


@dataclass(frozen=True, slots=True)
class StackFile:
    """What bootstrap and destroy need of it."""

    path: Path
    stack: str
    region: str
    secrets_provider: str | None
    encrypted_key: str | None


def locate_stack_files(folder: Path) -> Path:
    """The nearest of `folder` and those above it that holds stacks' files, so that a command works from a subfolder; else `folder`."""
    whole = folder.resolve()
    return next((one for one in (whole, *whole.parents) if any(one.glob("Pulumi.*.yaml"))), folder)


def read_stack_file(folder: Path, stack: str) -> StackFile:
    """The file of `stack` in `folder` or above it. Raises BadInput when it is not there, no YAML, or names no region."""
    folder = locate_stack_files(folder)
    path = folder / f"Pulumi.{stack}.yaml"
    if not path.is_file():
        raise _unknown(folder, stack)
    try:
        values = stack_file.read_values(path)
    except stack_file.NotAStackFile as error:
        raise BadInput(f"{path.name} cannot be read: {error}", where=str(path), next=f"correct {path.name}") from None
    region = values["config"].get("aws:region")
    if not isinstance(region, str):
        raise BadInput("It names no region", where=str(path), next=f"write aws:region under config: in {path.name}")
    return StackFile(path, stack, region, values.get("secretsprovider"), values.get("encryptedkey"))


def _unknown(folder: Path, stack: str) -> BadInput:
    known = sorted(each.name.split(".")[1] for each in folder.glob("Pulumi.*.yaml"))
    where = str(folder / f"Pulumi.{stack}.yaml")
    if not known:
        return BadInput(
            f"There is no stack {stack!r}: no file Pulumi.NAME.yaml is here or in a folder above",
            where=where,
            next="run this in the checkout, or name its folder with --project (or TEAL_ROOT)",
        )
    close = difflib.get_close_matches(stack, known, 1)
    following = f"the same command with {close[0]}" if close else f"cp Pulumi.{known[0]}.yaml Pulumi.{stack}.yaml, and edit it"
    return BadInput(f"There is no stack {stack!r}; known here: {', '.join(known)}", where=where, next=following)


def write_key(file: StackFile, secrets_provider: str, encrypted_key: str, text: str | None = None) -> None:
    """Put the two lines at the top of `text` (default: of the file as it is), in place of older ones; the rest stays as it is, byte for
    byte. The file is replaced whole or not at all."""
    before = file.path.read_text(encoding="utf-8") if text is None else text
    kept = [line for line in before.splitlines(keepends=True) if not line.startswith(("secretsprovider:", "encryptedkey:"))]
    _replace(file.path, f"secretsprovider: {secrets_provider}\nencryptedkey: {encrypted_key}\n{''.join(kept)}")


def put_back(file: StackFile, text: str) -> None:
    """The file as it was, if somebody rewrote it."""
    if file.path.read_text(encoding="utf-8") != text:
        _replace(file.path, text)


def _replace(path: Path, text: str) -> None:
    draft = path.with_name(f".{path.name}.draft")
    draft.write_text(text, encoding="utf-8")
    os.replace(draft, path)
