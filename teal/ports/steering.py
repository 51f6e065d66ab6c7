"""Reads the sections about releases: on AWS of the stack's own file, on a laptop of `.teal/release.yaml`, in the same form."""

from __future__ import annotations

from pathlib import Path
from typing import Final, TypeVar

from pydantic import BaseModel, ValidationError

from contract import stack_file
from contract.promotion import PromotionRules
from contract.steering import Steering
from teal.errors import BadInput

STEERING: Final = "teal:releases"
PROMOTION: Final = "teal:promotion"
Section = TypeVar("Section", bound=BaseModel)


def read_steering(path: Path) -> Steering:
    """Hooks and notifications. Nothing where there is no file, or no such section in it. Raises BadInput, which names the key."""
    return _section(path, STEERING, Steering, "contract/steering.py")


def read_promotion(path: Path) -> PromotionRules:
    """Which stack an image must have passed, likewise."""
    return _section(path, PROMOTION, PromotionRules, "contract/promotion.py")


def _section(path: Path, key: str, kind: type[Section], described_in: str) -> Section:
    try:
        said = stack_file.read_config(path).get(key) or {}
    except FileNotFoundError:
        return kind()
    except (OSError, stack_file.NotAStackFile) as error:
        raise BadInput(f"{path.name} cannot be read: {error}", where=str(path), next=f"correct {path.name}") from None
    try:
        return kind.model_validate(said)
    except ValidationError as error:
        found = error.errors(include_input=False)[0]
        place = ".".join(str(part) for part in found["loc"])
        raise BadInput(
            f"{key} is refused: {place + ': ' if place else ''}{found['msg'].removeprefix('Value error, ')}",
            where=str(path),
            next=f"correct {path.name} ({described_in} says what there is)",
        ) from None
