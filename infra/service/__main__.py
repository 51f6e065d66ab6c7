"""The program of one color: its web pods, its workers, its test of snapshots. `teal release` runs it; the platform must exist."""

from __future__ import annotations

import pulumi
import pulumi_kubernetes

from infra.platform.cluster.kubeconfig import kubeconfig
from infra.service.check import Check
from infra.service.inputs import read_inputs
from infra.service.web import WebPods
from infra.service.worker import WorkerPods

inputs = read_inputs()
cluster = inputs.platform.cluster
provider = pulumi_kubernetes.Provider(
    "cluster",
    kubeconfig=kubeconfig(inputs.platform.region, cluster.name, cluster.endpoint, cluster.ca_data),
    enable_server_side_apply=True,
    namespace=inputs.namespace,
)
components = pulumi.ResourceOptions(providers=[provider])
WebPods("web", inputs, components)
WorkerPods("worker", inputs, components)
Check("check", inputs, components)

pulumi.export("color", inputs.record.color)
pulumi.export("release_id", inputs.record.release_id)
pulumi.export("namespace", inputs.namespace)
