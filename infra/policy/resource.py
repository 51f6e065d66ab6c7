"""A resource as the rules see it, and safe access to its inputs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, cast

UNKNOWN: Final = "known only after creation"  # placeholder for an input that exists but whose value is not known yet


@dataclass(frozen=True)
class Resource:
    """Type token, name, inputs (camelCase), whether it is protected, and the stack that it is in (`prod`, `prod-blue`)."""

    type: str
    name: str
    inputs: Mapping[str, Any] = field(default_factory=dict[str, Any])
    protect: bool = False
    stack: str = ""


def mapping(value: object) -> Mapping[str, Any]:
    """The value if it is an object, else an empty one, because in a preview some values are unknown."""
    return cast(Mapping[str, Any], value) if isinstance(value, Mapping) else {}


def as_objects(value: object) -> list[Mapping[str, Any]]:
    """The objects in a list; an object alone counts as a list of one."""
    if isinstance(value, Mapping):
        return [cast(Mapping[str, Any], value)]
    return [mapping(each) for each in cast(list[object], value)] if isinstance(value, list) else []
