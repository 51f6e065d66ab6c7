"""Reads the section `teal:releases`: on AWS of the stack's own file, on a laptop of `.teal/release.yaml`, in the same form."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from pydantic import ValidationError

from contract import stack_file
from contract.steering import Steering
from teal.errors import BadInput

KEY: Final = "teal:releases"


def read_steering(path: Path) -> Steering:
    """Nothing where there is no file, or no such section in it. Raises BadInput, which names the key."""
    try:
        said = stack_file.read_config(path).get(KEY) or {}
    except FileNotFoundError:
        return Steering()
    except (OSError, stack_file.NotAStackFile) as error:
        raise BadInput(f"{path.name} cannot be read: {error}", where=str(path), next=f"correct {path.name}") from None
    try:
        return Steering.model_validate(said)
    except ValidationError as error:
        found = error.errors(include_input=False)[0]
        key = ".".join(str(part) for part in found["loc"])
        raise BadInput(
            f"{KEY} is refused: {key + ': ' if key else ''}{found['msg'].removeprefix('Value error, ')}",
            where=str(path),
            next=f"correct {path.name} (contract/steering.py says what there is)",
        ) from None
