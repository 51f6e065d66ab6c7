"""Secrets by reference: pods name a secret's ARN, and the node's driver reads its value from Secrets Manager when a pod starts.

Decision: docs/decisions/0006-secrets-by-reference.md. This module never contains a value.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import pulumi
from pulumi_aws import eks
from pulumi_kubernetes import apiextensions, rbac

from infra.platform.cluster import addons

# Driver and AWS provider in one EKS add-on. Source: tests/test-manager.py and pull request 546 of
# github.com/aws/secrets-store-csi-driver-provider-aws, read 2026-11-22.
ADDON: Final = addons.SECRETS_DRIVER
# Set explicitly, because rights are given to the service accounts of this namespace.
NAMESPACE: Final = "aws-secrets-manager"
COPY: Final = "teal-secrets-copy"
# The same rules as in the driver's own chart with `syncSecret.enabled` (secrets-store-csi-driver 1.6.0,
# templates/role-syncsecret.yaml), held by tests/parts/infra/test_secrets_chart.py.
COPY_RULE: Final[rbac.v1.PolicyRuleArgsDict] = {
    "api_groups": [""],
    "resources": ["secrets"],
    "verbs": ["get", "list", "watch", "create", "update", "patch", "delete"],
}


@dataclass(frozen=True)
class Reference:
    """A reference to one value: `key` of the JSON object in the secret `arn`, or without a key the whole content."""

    arn: pulumi.Input[str]
    key: str | None = None


class SecretsDriver(pulumi.ComponentResource):
    """The add-on, with copies into Kubernetes Secrets switched on, which environment variables need. Cost: a small pod on each node.

    The right to copy is made here: the add-on takes `syncSecret` and makes no role of it (decision 0006).
    """

    addon: eks.Addon  # pods that mount secrets depend on it

    def __init__(
        self,
        name: str,
        cluster_name: pulumi.Input[str],
        provider: pulumi.ProviderResource,
        ready: list[pulumi.Resource],
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        super().__init__("teal:infra:SecretsDriver", name, None, opts)
        inside = pulumi.ResourceOptions(parent=self, provider=provider, depends_on=ready)
        role = rbac.v1.ClusterRole(name, metadata={"name": COPY}, rules=[COPY_RULE], opts=inside)
        binding = rbac.v1.ClusterRoleBinding(
            name,
            metadata={"name": COPY},
            role_ref={"api_group": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": COPY},
            # All service accounts of the namespace:
            # the name of the add-on's account could not be verified, and nothing else runs there.
            subjects=[{"api_group": "rbac.authorization.k8s.io", "kind": "Group", "name": f"system:serviceaccounts:{NAMESPACE}"}],
            opts=pulumi.ResourceOptions(parent=self, provider=provider, depends_on=[role]),
        )
        self.addon = eks.Addon(
            name,
            cluster_name=cluster_name,
            addon_name=ADDON,
            namespace_config={"namespace": NAMESPACE},
            addon_version=addons.VERSIONS[ADDON],
            configuration_values=json.dumps(addon_settings()),
            resolve_conflicts_on_create="OVERWRITE",
            resolve_conflicts_on_update="PRESERVE",
            opts=pulumi.ResourceOptions(parent=self, depends_on=[*ready, binding]),
        )
        self.register_outputs({})


def addon_settings() -> dict[str, Any]:
    """The add-on's configuration. Source: tests/addon_config_values.yaml of the same repository."""
    return {
        "secrets-store-csi-driver": {
            "syncSecret": {"enabled": True},
            # Files and copies are updated when a secret changes; a process sees the change when its pod restarts.
            "enableSecretRotation": True,
            # Each read of each pod's secrets is a billed request. With driver 1.6 and newer this is the minimum time that a value
            # is cached, and kubelet triggers the reads (aws/secrets-store-csi-driver-provider-aws, pull request 612). That the
            # add-on passes it on to the driver's chart is unverified (its issue 597):
            # `kubectl -n aws-secrets-manager get daemonset -o yaml | grep rotation-poll-interval` says.
            "rotationPollInterval": "3600s",
            # With these tokens the provider uses the pod's identity, not the node's.
            "tokenRequests": [{"audience": "sts.amazonaws.com"}, {"audience": "pods.eks.amazonaws.com"}],
        }
    }


def provider_class(
    name: str,
    namespace: pulumi.Input[str],
    region: str,
    references: Mapping[str, Reference],
    opts: pulumi.ResourceOptions,
    copy_to: str | None = None,
) -> apiextensions.CustomResource:
    """A SecretProviderClass whose volumes have one file for each name.
    `copy_to`: also keep a Kubernetes Secret with the same keys while a pod runs."""
    arns = pulumi.Output.all(**{file: one.arn for file, one in references.items()})
    spec: dict[str, Any] = {
        "provider": "aws",
        "parameters": {
            "region": region,
            "usePodIdentity": "true",
            "objects": arns.apply(lambda known: objects({file: (known[file], one.key) for file, one in references.items()})),
        },
    }
    if copy_to is not None:
        data = [{"objectName": file, "key": file} for file in sorted(references)]
        spec["secretObjects"] = [{"secretName": copy_to, "type": "Opaque", "data": data}]
    return apiextensions.CustomResource(
        name,
        api_version="secrets-store.csi.x-k8s.io/v1",
        kind="SecretProviderClass",
        metadata={"name": name, "namespace": namespace},
        spec=spec,
        opts=opts,
    )


def objects(references: Mapping[str, tuple[str, str | None]]) -> str:
    """The provider's `objects` parameter (YAML text; JSON is YAML): for each secret the keys to show, and their file names."""
    shown: dict[str, dict[str, Any]] = {}
    for file, (arn, key) in sorted(references.items()):
        one = shown.setdefault(arn, {"objectName": arn, "objectType": "secretsmanager"})
        if key is None:
            one["objectAlias"] = file
        else:
            # Quoted, because an unquoted JMESPath name may not contain a hyphen.
            one.setdefault("jmesPath", []).append({"path": f'"{key}"', "objectAlias": file})
    return json.dumps([one for _, one in sorted(shown.items())])
