"""The two color slots of the service, and the complete state of one color."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Final, Literal

from pydantic import BaseModel, ConfigDict, Field

Color = Literal["blue", "green"]
COLORS: Final[tuple[Color, Color]] = ("blue", "green")
# A release's id is the value of a Kubernetes label, and part of a query of the autoscaler.
ReleaseId = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$")]


class ColorState(BaseModel):
    """The complete state of one color. A release and a rollback each put all of it in place together."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    release_id: str
    image: str  # laptop: SHA-256 of a version; AWS: repository@sha256:...
    label: str = ""
    config: Mapping[str, str] = {}  # all environment variables that are not secret
    secret_versions: Mapping[str, str] = {}  # names and versions, never values
    index: str
    schema_min: str  # oldest and newest revision of the catalog that this image can serve
    schema_max: str
    replica_floor: int
