"""The Kubernetes cluster: EKS Auto Mode, its access entries, and its logs."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pulumi
from pulumi_aws import cloudwatch, eks, iam
from pulumi_kubernetes import Provider

from infra.config.sections import SERVICES
from infra.platform.cluster import addons, reachable
from infra.platform.cluster.kubeconfig import kubeconfig
from infra.platform.cluster.objects import STORAGE_CLASS, ClusterObjectsArgs, create_objects

CLUSTER_POLICIES = (
    "AmazonEKSClusterPolicy",
    "AmazonEKSComputePolicy",
    "AmazonEKSBlockStoragePolicy",
    "AmazonEKSLoadBalancingPolicy",
    "AmazonEKSNetworkingPolicy",
)
NODE_POLICIES = ("AmazonEKSWorkerNodeMinimalPolicy", "AmazonEC2ContainerRegistryPullOnly")
LOG_TYPES = ("api", "audit", "authenticator", "controllerManager", "scheduler")
ADMIN_POLICY = "arn:aws:eks::aws:cluster-access-policy/AmazonEKSClusterAdminPolicy"


@dataclass(frozen=True)
class ClusterArgs:
    """`admins`: role ARNs by a permanent name; the program's caller must be one of them. Without `endpoint_cidrs` the API is not
    public. `egress`: resources that must exist before any node starts. `awaited` False: there is no API to wait for."""

    prefix: str
    region: str
    version: str
    subnet_ids: Sequence[pulumi.Input[str]]
    endpoint_cidrs: Sequence[str]
    admins: Mapping[str, pulumi.Input[str]]
    log_days: int
    egress: Sequence[pulumi.Resource]
    data_key_arn: pulumi.Input[str]
    logs_key_arn: pulumi.Input[str]
    search_nodes: int
    zones: Sequence[str]
    awaited: bool = True


class EksCluster(pulumi.ComponentResource):
    """The cluster. Auto Mode starts, patches and ends machines; secrets are encrypted with the stack's key;
    only listed roles have access.

    Cost: the control plane by hour, Auto Mode's share on top of each machine, the machines, logs by GB.
    """

    name: pulumi.Output[str]
    arn: pulumi.Output[str]
    endpoint: pulumi.Output[str]
    ca_data: pulumi.Output[str]
    security_group_id: pulumi.Output[str]
    oidc_provider_arn: pulumi.Output[str]
    oidc_issuer: pulumi.Output[str]  # without https://
    provider: Provider
    ready: list[pulumi.Resource]
    storage_class: str

    def __init__(self, name: str, args: ClusterArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("teal:infra:Cluster", name, None, opts)
        self._args, self._child = args, pulumi.ResourceOptions(parent=self)
        nodes, joined = self._role(f"{name}-nodes", "ec2.amazonaws.com", ["sts:AssumeRole"], NODE_POLICIES)
        cluster = self._cluster(name, nodes, joined)
        self.name, self.arn, self.endpoint = cluster.name, cluster.arn, cluster.endpoint
        self.ca_data = cluster.certificate_authority.data.apply(lambda data: data or "")
        self.security_group_id = cluster.vpc_config.cluster_security_group_id.apply(lambda group: group or "")
        issuer = cluster.identities[0].oidcs.apply(lambda oidcs: str(oidcs[0].issuer) if oidcs else "")
        self.oidc_issuer = issuer.apply(lambda url: url.removeprefix("https://"))
        # Elasticsearch 8.19 supports credentials by a service account's token only, not by Pod Identity.
        self.oidc_provider_arn = iam.OpenIdConnectProvider(
            name, url=issuer, client_id_lists=["sts.amazonaws.com"], opts=self._child
        ).arn
        access = [self._admin(f"{name}-admin-{who}", role) for who, role in args.admins.items()]
        self.provider = Provider(
            name,
            kubeconfig=pulumi.Output.all(self.name, self.endpoint, self.ca_data, *(one.id for one in access)).apply(
                lambda parts: self._reached(*parts[:3])
            ),
            cluster_identifier=self.arn,  # a renewed certificate must not replace everything in the cluster
            enable_server_side_apply=True,
            # A destroy runs in reverse order,
            # so the deployer's access and the egress are deleted after everything inside the cluster.
            opts=pulumi.ResourceOptions(parent=self, depends_on=[*access, *args.egress]),
        )
        metrics = eks.Addon(
            f"{name}-metrics-server",  # autoscaling by CPU needs it, and Auto Mode does not bring it
            cluster_name=self.name,
            addon_name=addons.METRICS_SERVER,
            addon_version=addons.VERSIONS[addons.METRICS_SERVER],
            resolve_conflicts_on_create="OVERWRITE",
            resolve_conflicts_on_update="OVERWRITE",
            opts=pulumi.ResourceOptions(parent=self, depends_on=[*args.egress]),
        )
        objects = create_objects(ClusterObjectsArgs(self.provider, args.search_nodes, args.zones, args.data_key_arn), self)
        self.ready = [*access, metrics, *objects]
        self.storage_class = STORAGE_CLASS
        self.register_outputs({"name": self.name, "endpoint": self.endpoint})

    def _reached(self, name: str, endpoint: str, ca_data: str) -> str:
        """The kubeconfig, once the API answers with it; everything that uses the provider waits for that.
        A preview does not wait."""
        if self._args.awaited and not pulumi.runtime.is_dry_run():
            reachable.wait_for_api(self._args.region, name, endpoint, ca_data)
        return kubeconfig(self._args.region, name, endpoint, ca_data)

    def _cluster(self, name: str, nodes: iam.Role, joined: Sequence[pulumi.Resource]) -> eks.Cluster:
        args = self._args
        role, attached = self._role(
            f"{name}-control", "eks.amazonaws.com", ["sts:AssumeRole", "sts:TagSession"], CLUSTER_POLICIES
        )
        disks = {
            "Effect": "Allow",
            "Action": [
                "kms:Encrypt", "kms:Decrypt", "kms:ReEncryptFrom", "kms:ReEncryptTo", "kms:GenerateDataKey",
                "kms:GenerateDataKeyWithoutPlaintext", "kms:DescribeKey", "kms:CreateGrant",
            ],
            "Resource": args.data_key_arn,
        }  # fmt: skip
        attached.append(
            iam.RolePolicy(
                f"{name}-limits",
                role=role.name,
                policy=nodes.arn.apply(
                    lambda arn: json.dumps({"Version": "2012-10-17", "Statement": denied_actions(arn, args.prefix)})
                ),
                opts=self._child,
            )
        )
        attached.append(
            iam.RolePolicy(
                f"{name}-disks",
                role=role.name,
                policy=pulumi.Output.json_dumps({"Version": "2012-10-17", "Statement": [disks]}),
                opts=self._child,
            )
        )
        logs = cloudwatch.LogGroup(
            f"{name}-control",
            name=f"/aws/eks/{args.prefix}/cluster",  # EKS would make this log group itself, without end of retention
            retention_in_days=args.log_days,
            kms_key_id=args.logs_key_arn,
            opts=self._child,
        )
        return eks.Cluster(
            name,
            name=args.prefix,
            version=args.version,
            role_arn=role.arn,
            bootstrap_self_managed_addons=False,  # Auto Mode runs them outside the cluster
            compute_config={"enabled": True, "node_pools": ["general-purpose", "system"], "node_role_arn": nodes.arn},
            kubernetes_network_config={"elastic_load_balancing": {"enabled": True}, "service_ipv4_cidr": SERVICES},
            storage_config={"block_storage": {"enabled": True}},
            access_config={"authentication_mode": "API", "bootstrap_cluster_creator_admin_permissions": False},
            encryption_config={"provider": {"key_arn": args.data_key_arn}, "resources": ["secrets"]},
            enabled_cluster_log_types=list(LOG_TYPES),
            deletion_protection=True,  # `teal destroy` takes it off
            vpc_config={
                "subnet_ids": list(args.subnet_ids),
                "endpoint_private_access": True,
                "endpoint_public_access": bool(args.endpoint_cidrs),
                "public_access_cidrs": list(args.endpoint_cidrs) or None,
            },
            upgrade_policy={"support_type": "STANDARD"},  # extended support costs six times as much: upgrade instead
            zonal_shift_config={"enabled": True},
            # Machines start with the cluster; without their rights or the egress they would never join.
            opts=pulumi.ResourceOptions(parent=self, protect=True, depends_on=[*attached, *joined, logs, *args.egress]),
        )

    def _role(
        self, name: str, service: str, actions: list[str], policies: Sequence[str]
    ) -> tuple[iam.Role, list[pulumi.Resource]]:
        trust = {"Effect": "Allow", "Principal": {"Service": service}, "Action": actions}
        role = iam.Role(
            name,
            name=f"{self._args.prefix}-{name}",
            assume_role_policy=json.dumps({"Version": "2012-10-17", "Statement": [trust]}),
            opts=self._child,
        )
        attached: list[pulumi.Resource] = [
            iam.RolePolicyAttachment(
                f"{name}-{policy}", role=role.name, policy_arn=f"arn:aws:iam::aws:policy/{policy}", opts=self._child
            )
            for policy in policies
        ]
        return role, attached

    def _admin(self, name: str, role_arn: pulumi.Input[str]) -> eks.AccessPolicyAssociation:
        entry = eks.AccessEntry(name, cluster_name=self.name, principal_arn=role_arn, type="STANDARD", opts=self._child)
        return eks.AccessPolicyAssociation(
            name,
            cluster_name=self.name,
            principal_arn=entry.principal_arn,
            policy_arn=ADMIN_POLICY,
            access_scope={"type": "cluster"},
            opts=self._child,
        )


def denied_actions(node_role_arn: str, cluster: str) -> list[dict[str, Any]]:
    """Rights in AWS' managed policies that this cluster does not need: AmazonEKSComputePolicy may pass every role of the account
    to a machine, and AmazonEKSClusterPolicy may change every machine.
    A cluster administrator controls Auto Mode, because a NodeClass names a role.
    """
    return [
        {"Sid": "OwnMachinesRole", "Effect": "Deny", "Action": "iam:PassRole", "NotResource": node_role_arn},
        {
            "Sid": "OwnMachines",
            "Effect": "Deny",
            "Action": "ec2:ModifyInstanceAttribute",
            "Resource": "*",
            "Condition": {"StringNotEquals": {"aws:ResourceTag/eks:eks-cluster-name": cluster}},
        },
    ]
