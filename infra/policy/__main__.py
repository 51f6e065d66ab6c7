"""Entry of `pulumi preview --policy-pack infra/policy`. Serves until the engine ends it."""

from __future__ import annotations

from pulumi_policy import EnforcementLevel, PolicyPack

from infra.policy.pack import pack_policies

PolicyPack(name="teal", enforcement_level=EnforcementLevel.MANDATORY, policies=[*pack_policies()])
