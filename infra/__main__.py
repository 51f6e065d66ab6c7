"""The platform, composed: configuration -> components -> outputs.

`pulumi up` builds no image and decides no release: afterwards the address answers 503 until `teal release`. Every wrong setting is
refused by `read_config()`, before anything is created.
"""

from __future__ import annotations

import gc

# Before everything else: Pulumi's SDK makes half a million lasting objects while it is read, and the collector would go through all of
# them after each 700 new ones. That was 1.4 of the platform's 4.4 s of CPU in each preview and `up` (2026-11-29).
gc.set_threshold(100_000, 50, 50)

import pulumi  # noqa: E402

from infra import outputs  # noqa: E402
from infra.compose import foundation, ingress, operations, stores  # noqa: E402
from infra.config import read as configuration  # noqa: E402

config = configuration.read_config()

base = foundation.build(config)  # keys, network, GitHub's roles, cluster
public = ingress.build(config, base)  # certificate, load balancer, firewall
data = stores.build(config, base)  # search, database, cache, release record, backups
ops = operations.build(config, base, public, data)  # colors, autoscaling, images, alerts

for name, value in outputs.stack_outputs(config, base, public, data, ops).items():
    pulumi.export(name, value)
