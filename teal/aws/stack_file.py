"""`Pulumi.<stack>.yaml`: read as YAML, changed as text, so that an operator's comments stay."""

from __future__ import annotations

import difflib
import os
from dataclasses import dataclass
from pathlib import Path

from contract import stack_file
from teal.errors import BadInput

_MARK = "\ufeff"  # some editors on Windows begin a file with it; YAML allows it there alone


@dataclass(frozen=True, slots=True)
class StackFile:
    """What bootstrap and destroy need of a stack's file."""

    path: Path
    stack: str
    region: str
    secrets_provider: str | None
    encrypted_key: str | None


def locate_stack_files(folder: Path) -> Path:
    """The nearest folder with stack files, from `folder` upwards, so that a command works from a subfolder;
    `folder` if there is none."""
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
    before = read_unchanged(file.path) if text is None else text
    kept = [
        line
        for line in normalise_text(before).splitlines(keepends=True)
        if not line.startswith(("secretsprovider:", "encryptedkey:"))
    ]
    replace_text(file.path, f"secretsprovider: {secrets_provider}\nencryptedkey: {encrypted_key}\n{''.join(kept)}", like=before)


def put_back(file: StackFile, text: str) -> None:
    """Write the file's earlier text again, if it was changed."""
    if read_unchanged(file.path) != text:
        replace_text(file.path, text, like=text)


def read_unchanged(path: Path) -> str:
    """The file's text with its byte order mark and Windows line ends, where an editor put them."""
    return path.read_bytes().decode("utf-8")


def normalise_text(text: str) -> str:
    """The text without byte order mark and with Unix line ends."""
    return text.removeprefix(_MARK).replace("\r\n", "\n")


def replace_text(path: Path, text: str, *, like: str) -> None:
    """Write the file whole or not at all, with the byte order mark and the line ends that `like` has."""
    ends = normalise_text(text).replace("\n", "\r\n") if "\r\n" in like else normalise_text(text)
    draft = path.with_name(f".{path.name}.draft")
    draft.write_bytes(((_MARK if like.startswith(_MARK) else "") + ends).encode("utf-8"))
    os.replace(draft, path)
