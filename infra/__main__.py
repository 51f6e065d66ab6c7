"""The platform, composed: configuration -> components -> outputs."""

from __future__ import annotations

import pulumi

from infra.config import read

config = read()
pulumi.export("region", config.region)
