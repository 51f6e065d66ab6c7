"""The cluster rights of the preview role: it may read everything except secrets, and make changes as a dry run only."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final, cast

import pulumi
from pulumi_kubernetes import admissionregistration, rbac

from infra.delivery.registry import GROUPS
from infra.platform.search.resources import CA_SECRET
from infra.platform.search.resources import NAMESPACE as SEARCH_NAMESPACE

NAME: Final = "teal-preview"
_LOOK: Final = ("get", "list", "watch")
_TRY: Final = ("create", "patch")  # the provider previews with a server-side apply that is marked as a dry run
# Kinds of objects that the platform's program has in the cluster. Secrets are not among them, because a dry run returns the whole
# object, so a right to try a change of a secret would be a right to read it.
# The provider then compares without the server and reports that.
_KINDS: Final = (
    ("", ("configmaps", "namespaces", "serviceaccounts")),
    ("apps", ("deployments",)),
    ("batch", ("jobs", "cronjobs")),
    ("networking.k8s.io", ("networkpolicies",)),
    ("rbac.authorization.k8s.io", ("roles", "rolebindings", "clusterroles", "clusterrolebindings")),
    ("storage.k8s.io", ("storageclasses",)),
    ("karpenter.sh", ("nodepools",)),
    ("elasticsearch.k8s.elastic.co", ("elasticsearches",)),
    ("kibana.k8s.elastic.co", ("kibanas",)),
    ("keda.sh", ("triggerauthentications",)),
    ("secrets-store.csi.x-k8s.io", ("secretproviderclasses",)),
)
# Kinds that may be read but not tried. Kubernetes applies no admission policy to admission policies, so a right to patch one,
# even for dry runs, would allow removing the rule below. The provider accepts a refusal and then compares without the server
# (pulumi-kubernetes 94977969, provider/pkg/provider/provider.go, `IsForbidden` in Create and in Update), as it does for secrets.
_POLICIES: Final = ("admissionregistration.k8s.io", ("validatingadmissionpolicies", "validatingadmissionpolicybindings"))


@dataclass(frozen=True)
class PreviewAccessArgs:
    """`ready`: the cluster's access entries, without which nothing can be made in it, and search,
    in whose namespace a role is made."""

    provider: pulumi.ProviderResource
    ready: list[pulumi.Resource]


class PreviewAccess(pulumi.ComponentResource):
    """The rights of the preview role's group, and the admission rule that limits it to dry runs. Cost: nothing.

    The rule is created first and deleted last, so that the rights never exist without it.
    """

    def __init__(self, name: str, args: PreviewAccessArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("teal:infra:PreviewAccess", name, None, opts)
        group = GROUPS["preview"]
        metadata: Any = {"name": NAME}
        first = pulumi.ResourceOptions(parent=self, provider=args.provider, depends_on=args.ready)
        policy = admissionregistration.v1.ValidatingAdmissionPolicy(
            name, metadata=metadata, spec=cast(Any, only_try(group)), opts=first
        )
        bound = admissionregistration.v1.ValidatingAdmissionPolicyBinding(
            name,
            metadata=metadata,
            spec={"policy_name": NAME, "validation_actions": ["Deny"]},
            opts=pulumi.ResourceOptions(parent=self, provider=args.provider, depends_on=[policy]),
        )
        after = pulumi.ResourceOptions(parent=self, provider=args.provider, depends_on=[bound])
        role = rbac.v1.ClusterRole(name, metadata=metadata, rules=cast(Any, preview_rbac_rules()), opts=after)
        rbac.v1.ClusterRoleBinding(
            name,
            metadata=metadata,
            role_ref={"api_group": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": NAME},
            subjects=[{"api_group": "rbac.authorization.k8s.io", "kind": "Group", "name": group}],
            opts=pulumi.ResourceOptions(parent=self, provider=args.provider, depends_on=[role, bound]),
        )
        # The program reads search's certificate, which is public; a preview reads it too.
        here: Any = {"name": NAME, "namespace": SEARCH_NAMESPACE}
        seen = rbac.v1.Role(name, metadata=here, rules=cast(Any, [certificate_reader()]), opts=after)
        rbac.v1.RoleBinding(
            name,
            metadata=here,
            role_ref={"api_group": "rbac.authorization.k8s.io", "kind": "Role", "name": NAME},
            subjects=[{"api_group": "rbac.authorization.k8s.io", "kind": "Group", "name": group}],
            opts=pulumi.ResourceOptions(parent=self, provider=args.provider, depends_on=[seen]),
        )
        self.register_outputs({})


def certificate_reader() -> dict[str, Any]:
    """A role for the only readable Secret: ECK's copy of the certificate without its key."""
    return {"apiGroups": [""], "resources": ["secrets"], "resourceNames": [CA_SECRET], "verbs": ["get"]}


def only_try(group: str) -> dict[str, Any]:
    """The admission rule: a change by somebody in `group` is refused unless it is a dry run. Fails closed."""
    everything = {
        "apiGroups": ["*"],
        "apiVersions": ["*"],
        "resources": ["*/*"],
        "operations": ["CREATE", "UPDATE", "DELETE", "CONNECT"],
        "scope": "*",
    }
    return {
        "failurePolicy": "Fail",
        # Includes the server's defaults, because the server treats this list as one value (tests/cluster/test_adoption.py).
        "matchConstraints": {
            "matchPolicy": "Equivalent",
            "namespaceSelector": {},
            "objectSelector": {},
            "resourceRules": [everything],
        },
        "matchConditions": [
            {"name": "preview", "expression": f"has(request.userInfo.groups) && '{group}' in request.userInfo.groups"}
        ],
        "validations": [
            {
                "expression": "has(request.dryRun) && request.dryRun",
                "message": "A preview may try changes, not make them.",
            }
        ],
    }


def preview_rbac_rules() -> list[dict[str, Any]]:
    """RBAC rules: read and try each kind of the program, and read admission policies.
    No right on secrets, no delete, no shell in a pod."""
    return [
        *({"apiGroups": [group], "resources": list(kinds), "verbs": [*_LOOK, *_TRY]} for group, kinds in _KINDS),
        {"apiGroups": [_POLICIES[0]], "resources": list(_POLICIES[1]), "verbs": [*_LOOK]},
    ]
