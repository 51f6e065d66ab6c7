"""The cluster objects that workloads need before they start:
machines for search, a storage class, and the switch for network policies.

Shapes are documented in the EKS user guide (Auto Mode: create-node-pool, create-storage-class, auto-net-pol).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pulumi
from pulumi_kubernetes import Provider
from pulumi_kubernetes.apiextensions import CustomResource
from pulumi_kubernetes.core.v1 import ConfigMap
from pulumi_kubernetes.meta.v1 import ObjectMetaArgs
from pulumi_kubernetes.storage.v1 import StorageClass

from contract import quantities

STORAGE_CLASS = "gp3"
POOL_LABEL = "teal/pool"
SEARCH_POOL = "search"
# A rotation drains one node; a pod that has not ended within a day is killed.
# 312 h + 24 h is Auto Mode's default lifetime of 336 h; it allows 21 days at most.
NODE_LIFE_HOURS = 312
# Nodes that started together would also expire together, and expiry ignores the pool's disruption budget (Karpenter,
# "Disruption": Expiration). So each zone's pool expires its nodes a day before the next zone's;
# within a zone ECK's disruption budget moves one pod at a time.
STAGGER_HOURS = 24
DRAIN_HOURS = 24
# A single search node takes search with it: Auto Mode replaces it for a newer image, which happens most weeks, only from 02:00 to 04:00
# UTC. The budget of no node is active for the other 22 hours (Karpenter 1.8's definition of NodePool: nodes, schedule, duration). The
# end by age heeds no budget and comes at any hour.
SINGLE_NODE_BUDGETS = [{"nodes": "1"}, {"nodes": "0", "schedule": "0 4 * * *", "duration": "22h"}]
# The search pool's limits for each search node: one machine, or two while it rotates.
CPU_PER_SEARCH_NODE = 16
MEMORY_GIB_PER_SEARCH_NODE = 128


@dataclass(frozen=True)
class ClusterObjectsArgs:
    """`search_nodes` bounds each search pool; there is one for each of `zones`."""

    provider: Provider
    search_nodes: int
    zones: Sequence[str]
    kms_key_arn: pulumi.Input[str]


def create_objects(args: ClusterObjectsArgs, parent: pulumi.Resource) -> list[pulumi.Resource]:
    """Create the objects as children of `parent`.
    A workload that mounts a disk or runs on the search pool must depend on them."""
    opts = pulumi.ResourceOptions(parent=parent, provider=args.provider)
    pools = [
        CustomResource(
            f"search-pool-{zone[-1]}",
            api_version="karpenter.sh/v1",
            kind="NodePool",
            metadata=ObjectMetaArgs(name=f"{SEARCH_POOL}-{zone[-1]}"),
            spec=search_pool(args.search_nodes, zone, NODE_LIFE_HOURS - number * STAGGER_HOURS),
            opts=opts,
        )
        for number, zone in enumerate(args.zones)
    ]
    disks = StorageClass(
        "gp3",
        metadata=ObjectMetaArgs(name=STORAGE_CLASS, annotations={"storageclass.kubernetes.io/is-default-class": "true"}),
        provisioner="ebs.csi.eks.amazonaws.com",  # Auto Mode's own driver, which has no storage class by default
        volume_binding_mode="WaitForFirstConsumer",  # a disk is made in the zone of its pod
        reclaim_policy="Retain",  # a deleted claim keeps its disk, so that data is only deleted on purpose
        allow_volume_expansion=True,
        allowed_topologies=[{"match_label_expressions": [{"key": "eks.amazonaws.com/compute-type", "values": ["auto"]}]}],
        # No own tags: Auto Mode's managed policies refuse volumes with them (EKS user guide, auto-cluster-iam-role).
        # `teal destroy` finds volumes by the tag that Auto Mode gives each, `eks:eks-cluster-name`.
        parameters={"type": "gp3", "encrypted": "true", "kmsKeyId": args.kms_key_arn},
        opts=opts,
    )
    # Without it Auto Mode accepts every NetworkPolicy and enforces none.
    switch = ConfigMap(
        "network-policies",
        metadata=ObjectMetaArgs(name="amazon-vpc-cni", namespace="kube-system", annotations={"pulumi.com/patchForce": "true"}),
        data={"enable-network-policy-controller": "true"},
        opts=opts,
    )
    return [*pools, disks, switch]


def search_pool(nodes: int, zone: str, life_hours: int) -> dict[str, Any]:
    """A pool of machines in one zone for Elasticsearch alone:
    on-demand, removed only when empty, one at a time, and expired after `life_hours`."""
    return {
        "template": {
            "metadata": {"labels": {POOL_LABEL: SEARCH_POOL}},
            "spec": {
                "nodeClassRef": {"group": "eks.amazonaws.com", "kind": "NodeClass", "name": "default"},
                "requirements": [
                    {"key": "karpenter.sh/capacity-type", "operator": "In", "values": ["on-demand"]},
                    {"key": "topology.kubernetes.io/zone", "operator": "In", "values": [zone]},
                    {"key": "kubernetes.io/arch", "operator": "In", "values": ["amd64"]},
                    {"key": "eks.amazonaws.com/instance-category", "operator": "In", "values": ["m", "r"]},
                    {"key": "eks.amazonaws.com/instance-generation", "operator": "Gt", "values": ["5"]},
                ],
                "taints": [{"key": POOL_LABEL, "value": SEARCH_POOL, "effect": "NoSchedule"}],
                "expireAfter": f"{life_hours}h",
                "terminationGracePeriod": f"{DRAIN_HOURS}h",
            },
        },
        # Moving a shard costs more than an idle core, so nodes in use are never consolidated.
        "disruption": {
            "consolidationPolicy": "WhenEmpty",
            "consolidateAfter": "10m",
            "budgets": SINGLE_NODE_BUDGETS if nodes == 1 else [{"nodes": "1"}],
        },
        "limits": {
            "cpu": str(2 * nodes * CPU_PER_SEARCH_NODE),
            "memory": quantities.memory_quantity(2 * nodes * MEMORY_GIB_PER_SEARCH_NODE * 1024),
        },
    }
