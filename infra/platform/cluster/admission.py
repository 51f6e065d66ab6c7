"""Admission rules for the service's namespaces, for every caller:
only the service's image by digest, one identity, and only that identity's secrets.

RBAC controls which kinds of objects a release may change, but not their content. Without these rules a Job with the operator's
service account and any image could read the operator's secrets. The rules are ValidatingAdmissionPolicies of the cluster: neither
the release role nor the preview role may change them, and Kubernetes applies them to all callers,
cluster administrators included.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from typing import Any, Final, cast

import pulumi
from pulumi_kubernetes import admissionregistration

from contract import pods
from contract.names import NAMESPACES, OPERATOR_NAMESPACE

WORKLOADS: Final = "teal-workloads"
SERVICES: Final = "teal-services"
_KINDS: Final = (
    ("apps", ("deployments", "statefulsets", "daemonsets", "replicasets")),
    ("batch", ("jobs", "cronjobs")),
)


def install_admission_policies(
    name: str, repository: str, provider: pulumi.ProviderResource, ready: Sequence[pulumi.Resource], parent: pulumi.Resource
) -> list[pulumi.Resource]:
    """Install and bind both policies. The objects that give a release its rights depend on the result,
    so the rights never exist without the rules."""
    made: list[pulumi.Resource] = []
    for policy, spec in ((WORKLOADS, workloads(repository)), (SERVICES, services())):
        opts = pulumi.ResourceOptions(parent=parent, provider=provider, depends_on=list(ready))
        rule = admissionregistration.v1.ValidatingAdmissionPolicy(
            f"{name}-{policy}", metadata={"name": policy}, spec=cast(Any, spec), opts=opts
        )
        made.append(
            admissionregistration.v1.ValidatingAdmissionPolicyBinding(
                f"{name}-{policy}",
                metadata={"name": policy},
                spec={"policy_name": policy, "validation_actions": ["Deny"]},
                opts=pulumi.ResourceOptions(parent=parent, provider=provider, depends_on=[rule]),
            )
        )
    return made


def workloads(repository: str) -> dict[str, Any]:
    """The policy for everything that makes pods. `repository`: the registry's, without tag or digest."""
    image = f"^{re.escape(repository)}@sha256:[0-9a-f]{{64}}$"
    commands = ["python3", "-m", "app.admin"]
    variables = {
        "pod": "request.kind.kind == 'CronJob' ? dyn(object).spec.jobTemplate.spec.template.spec : dyn(object).spec.template.spec",
        "containers": "variables.pod.containers + (has(variables.pod.initContainers) ? variables.pod.initContainers : [])",
        "operator": f"request.namespace == '{OPERATOR_NAMESPACE}'",
        "account": f"variables.operator ? '{pods.OPERATOR.account}' : '{pods.service('').account}'",
        "secret": f"variables.operator ? '{pods.OPERATOR.secret}' : '{pods.service('').secret}'",
        "files": f"variables.operator ? '{pods.OPERATOR.provider_class}' : request.namespace",
    }
    reference = (
        "!has(e.valueFrom) || has(e.valueFrom.fieldRef) || has(e.valueFrom.resourceFieldRef)"
        " || (has(e.valueFrom.secretKeyRef) && e.valueFrom.secretKeyRef.name == variables.secret)"
    )
    mounted = (
        f"has(v.emptyDir) || (has(v.csi) && v.csi.driver == '{pods.SECRETS_DRIVER}' && !has(v.csi.nodePublishSecretRef)"
        " && v.csi.volumeAttributes['secretProviderClass'] == variables.files)"
    )
    validations = {
        # JSON strings are valid CEL strings: a backslash of the pattern is doubled.
        "Every image is this stack's own, by digest.": f"variables.containers.all(c, c.image.matches({json.dumps(image)}))",
        "The service account is the namespace's own, and its token is not mounted.": (
            "has(variables.pod.serviceAccountName) && variables.pod.serviceAccountName == variables.account"
            " && has(variables.pod.automountServiceAccountToken) && !variables.pod.automountServiceAccountToken"
        ),
        "Variables come from the namespace's own Secret alone.": (
            "variables.containers.all(c, (!has(c.envFrom) || size(c.envFrom) == 0)"
            f" && (!has(c.env) || c.env.all(e, {reference})))"
        ),
        "Volumes are scratch folders and the namespace's own secret files.": (
            f"(!has(variables.pod.volumes) || variables.pod.volumes.all(v, {mounted})) && !has(dyn(object).spec.volumeClaimTemplates)"
        ),
        "Images are pulled by the node, with no secret.": (
            "!has(variables.pod.imagePullSecrets) || size(variables.pod.imagePullSecrets) == 0"
        ),
        "The operator's namespace runs the commands that need its rights, and nothing else.": (
            "!variables.operator || variables.containers.all(c, !has(c.command) && has(c.args) && size(c.args) > 3"
            f" && {' && '.join(f'c.args[{place}] == {word!r}' for place, word in enumerate(commands))}"
            f" && c.args[{len(commands)}] in {list(pods.OPERATOR_COMMANDS)})"
        ),
    }
    return {
        "failurePolicy": "Fail",
        "matchConstraints": _in_our_namespaces(_KINDS),
        "variables": [{"name": name, "expression": text} for name, text in variables.items()],
        "validations": [{"expression": text, "message": message} for message, text in validations.items()],
    }


def services() -> dict[str, Any]:
    """The policy for Services: it refuses those with a load balancer or a node port, because they would bypass the firewall."""
    return {
        "failurePolicy": "Fail",
        "matchConstraints": _in_our_namespaces((("", ("services",)),)),
        "validations": [
            {
                "expression": "(!has(object.spec.type) || object.spec.type == 'ClusterIP')"
                " && (!has(object.spec.externalIPs) || size(object.spec.externalIPs) == 0)",
                "message": "Only the platform's load balancer opens the cluster.",
            }
        ],
    }


def _in_our_namespaces(kinds: Sequence[tuple[str, Sequence[str]]]) -> dict[str, Any]:
    return {
        "matchPolicy": "Equivalent",
        "objectSelector": {},
        "namespaceSelector": {
            "matchExpressions": [
                {
                    "key": "kubernetes.io/metadata.name",
                    "operator": "In",
                    "values": [*NAMESPACES.values(), OPERATOR_NAMESPACE],
                }
            ]
        },
        "resourceRules": [
            {
                "apiGroups": [group],
                "apiVersions": ["*"],
                "operations": ["CREATE", "UPDATE"],
                "resources": list(names),
                "scope": "*",
            }
            for group, names in kinds
        ],
    }
