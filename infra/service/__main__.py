"""The program of one color: its web pods, its workers, its test of snapshots. `teal release` runs it; the platform must exist."""

from __future__ import annotations

import gc

# Before everything else: Pulumi's SDK makes half a million lasting objects while it is read, and the collector would go through all of
# them after each 700 new ones. That was 1.4 of the platform's 4.4 s of CPU in each preview and `up` (2026-11-29).
gc.set_threshold(100_000, 50, 50)

import pulumi  # noqa: E402
import pulumi_kubernetes  # noqa: E402

from infra.platform.cluster.kubeconfig import kubeconfig  # noqa: E402
from infra.service.check import Check  # noqa: E402
from infra.service.inputs import read_inputs  # noqa: E402
from infra.service.web import WebPods  # noqa: E402
from infra.service.worker import WorkerPods  # noqa: E402

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
