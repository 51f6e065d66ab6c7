"""One color, composed: its network rules, what answers HTTP, what ingests, what tests snapshots. `teal release` runs it; the platform must exist."""

from __future__ import annotations

from typing import Any, cast

import pulumi
import pulumi_kubernetes
from pulumi_kubernetes import networking

from infra.kubeconfig import kubeconfig
from infra.service.check import Check
from infra.service.given import read
from infra.service.policies import policies
from infra.service.web import Web
from infra.service.worker import Worker

given = read()
cluster = given.platform.cluster
provider = pulumi_kubernetes.Provider(
    "cluster",
    kubeconfig=kubeconfig(given.platform.region, cluster.name, cluster.endpoint, cluster.ca_data),
    enable_server_side_apply=True,
    namespace=given.namespace,
)
inside = pulumi.ResourceOptions(provider=provider)
rules: list[pulumi.Resource] = [
    networking.v1.NetworkPolicy(
        name,
        metadata=cast(Any, {"name": f"teal-{name}", "namespace": given.namespace, "labels": given.labels}),
        spec=cast(Any, spec),
        opts=inside,
    )
    for name, spec in policies(given).items()
]
components = pulumi.ResourceOptions(providers=[provider])
Web("web", given, rules, components)
Worker("worker", given, rules, components)
Check("check", given, rules, components)

pulumi.export("color", given.record.color)
pulumi.export("release_id", given.record.release_id)
pulumi.export("namespace", given.namespace)
