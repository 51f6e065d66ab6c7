"""The platform, composed: configuration -> components -> outputs.

`pulumi up` builds no image and decides no release: afterwards the address answers 503 until `teal release`. Every wrong setting is
refused by `read_config()`, before anything is created.
"""

from __future__ import annotations

import pulumi

from infra import outputs
from infra.compose import foundation, ingress, operations, stores
from infra.config import read as configuration

config = configuration.read_config()

base = foundation.build(config)  # keys, network, GitHub's roles, cluster
public = ingress.build(config, base)  # certificate, load balancer, firewall
data = stores.build(config, base)  # search, database, cache, release record, backups
ops = operations.build(config, base, public, data)  # colors, autoscaling, images, alerts

for name, value in outputs.stack_outputs(config, base, public, data, ops).items():
    pulumi.export(name, value)
