"""What a color needs before its first release: its namespace, its identity, its network policies, and the rights to change it.

These belong to the platform, because a release must not be able to create namespaces, roles, network policies or rights of its own.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import pulumi
from pulumi_kubernetes import core, rbac

from contract import pods
from contract.color import Color
from contract.names import NAMESPACES, OPERATOR_NAMESPACE
from infra.platform.cluster import admission
from infra.platform.cluster.pod_role import associate, pod_role, secret_statements
from infra.platform.cluster.secrets import Reference, provider_class
from infra.platform.network import namespaces as network
from infra.platform.network import rules

_RESTRICTED: Final = {f"pod-security.kubernetes.io/{mode}": "restricted" for mode in ("enforce", "audit", "warn")}
RELEASE_GROUP: Final = "teal:release"  # the release role's EKS access entry names this Kubernetes group
_ALL: Final = ("get", "list", "watch", "create", "update", "patch", "delete")
RELEASE_RULES: Final[tuple[rbac.v1.PolicyRuleArgsDict, ...]] = (
    {"api_groups": ["apps"], "resources": ["deployments", "statefulsets"], "verbs": [*_ALL]},
    {"api_groups": ["apps"], "resources": ["replicasets"], "verbs": ["get", "list", "watch"]},
    {"api_groups": [""], "resources": ["services"], "verbs": [*_ALL]},
    # Pods and events show why a deployment is not ready; a Job's log is the output of `python -m app.admin`.
    {"api_groups": [""], "resources": ["pods", "pods/log", "events", "endpoints"], "verbs": ["get", "list", "watch"]},
    # No such objects exist here, but Pulumi's wait for a Deployment opens a watch on them and continues only
    # when that has synced.
    {"api_groups": [""], "resources": ["persistentvolumeclaims"], "verbs": ["get", "list", "watch"]},
    {"api_groups": ["batch"], "resources": ["jobs", "cronjobs"], "verbs": [*_ALL]},
    {"api_groups": ["autoscaling"], "resources": ["horizontalpodautoscalers"], "verbs": [*_ALL]},
    {"api_groups": ["policy"], "resources": ["poddisruptionbudgets"], "verbs": [*_ALL]},
    {"api_groups": ["keda.sh"], "resources": ["scaledobjects"], "verbs": [*_ALL]},
    {"api_groups": ["eks.amazonaws.com"], "resources": ["targetgroupbindings"], "verbs": [*_ALL]},
)
# Rights in the operator's namespace: its Jobs, their pods' logs and events.
# infra.platform.cluster.admission controls the content of a Job.
OPERATOR_RULES: Final[tuple[rbac.v1.PolicyRuleArgsDict, ...]] = (
    {"api_groups": ["batch"], "resources": ["jobs", "cronjobs"], "verbs": [*_ALL]},
    {"api_groups": [""], "resources": ["pods", "pods/log", "events"], "verbs": ["get", "list", "watch"]},
)


@dataclass(frozen=True)
class ColorsArgs:
    """`secrets`: the secrets that pods read, by the name of the variable or file;
    `operator_secrets` replace them in the operator's Jobs.

    `probe_secret_arns`: by color. `model_ids`: Bedrock models and inference profiles that pods may call; empty: none.
    `repository`: the only repository whose images may run. `reach`: the networks that pods may reach.
    """

    prefix: str
    region: str
    account_id: pulumi.Input[str]
    cluster_name: pulumi.Input[str]
    cluster_arn: pulumi.Input[str]
    provider: pulumi.ProviderResource
    secrets: Mapping[str, Reference]
    operator_secrets: Mapping[str, Reference]
    probe_secret_arns: Mapping[str, pulumi.Input[str]]
    repository: str
    reach: network.NetworkReach
    kms_key_arn: pulumi.Input[str]
    model_ids: Sequence[str] = ()
    ready: Sequence[pulumi.Resource] = ()


class Colors(pulumi.ComponentResource):
    """Three namespaces with restricted pods, closed networks and admission rules: one for each color, with the load balancer's
    readiness gates, and one for the operator's Jobs; a role for each kind of pods; and the release role's rights.

    Cost: nothing by itself.
    """

    namespaces: dict[Color, str]
    role_arn: pulumi.Output[str]
    resources: list[pulumi.Resource]  # a color's first release depends on them

    def __init__(self, name: str, args: ColorsArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("teal:infra:Colors", name, None, opts)
        statements: list[dict[str, Any]] = secret_statements([one.arn for one in args.secrets.values()], args.kms_key_arn)
        statements += [_own_probe(color, namespace, args.probe_secret_arns[color]) for color, namespace in NAMESPACES.items()]
        if args.model_ids:
            statements.append(
                {
                    "Sid": "CallModels",
                    "Effect": "Allow",
                    "Action": ["bedrock:InvokeModel", "bedrock:InvokeModelWithResponseStream"],
                    "Resource": pulumi.Output.from_input(args.account_id).apply(
                        lambda account: sorted({arn for one in args.model_ids for arn in model_arns(one, args.region, account)})
                    ),
                }
            )
        role = pod_role(name, f"{args.prefix}-app", args.cluster_arn, statements, self)
        held = [one.arn for one in _for_operator(args).values()]
        operator = pod_role(
            f"{name}-operator", f"{args.prefix}-operator", args.cluster_arn, secret_statements(held, args.kms_key_arn), self
        )
        self._args = args
        self._rules = admission.install_admission_policies(name, args.repository, args.provider, args.ready, self)
        self.resources = [*self._rules]
        for color, namespace in NAMESPACES.items():
            own = {**args.secrets, pods.PROBE_VARIABLE: Reference(args.probe_secret_arns[color])}
            self.resources += [
                associate(f"{name}-{color}", args.cluster_name, namespace, pods.service(namespace).account, role, self),
                *self._namespace(
                    f"{name}-{color}", namespace, namespace_labels(), pods.service(namespace), own,
                    network.color(color, args.reach), RELEASE_RULES,
                ),
            ]  # fmt: skip
        self.resources += [
            associate(f"{name}-operator", args.cluster_name, OPERATOR_NAMESPACE, pods.OPERATOR.account, operator, self),
            *self._namespace(
                f"{name}-operator", OPERATOR_NAMESPACE, _RESTRICTED, pods.OPERATOR, _for_operator(args),
                network.operator_policies(args.reach), OPERATOR_RULES,
            ),
        ]  # fmt: skip
        self.namespaces, self.role_arn = dict(NAMESPACES), role.arn
        self.register_outputs({"role_arn": self.role_arn})

    def _namespace(
        self,
        name: str,
        namespace: str,
        labelled: Mapping[str, str],
        identity: pods.Identity,
        secrets: Mapping[str, Reference],
        specs: Mapping[str, Mapping[str, Any]],
        granted: Sequence[rbac.v1.PolicyRuleArgsDict],
    ) -> list[pulumi.Resource]:
        args = self._args
        made = core.v1.Namespace(
            name,
            metadata={"name": namespace, "labels": labelled},
            opts=pulumi.ResourceOptions(parent=self, provider=args.provider, depends_on=list(args.ready)),
        )
        inside = pulumi.ResourceOptions(parent=self, provider=args.provider, depends_on=[made])
        account = core.v1.ServiceAccount(
            name,
            metadata={"name": identity.account, "namespace": namespace},
            automount_service_account_token=False,  # pods do not talk to Kubernetes; Pod Identity brings a token of its own
            opts=inside,
        )
        shown = provider_class(identity.provider_class, namespace, args.region, secrets, inside, copy_to=identity.secret)
        closed = rules.install_policies(name, namespace, specs, inside)
        # The rights are created last, so that a release never finds the namespace without its rules.
        guarded = pulumi.ResourceOptions(parent=self, provider=args.provider, depends_on=[made, *closed, *self._rules])
        rights = rbac.v1.Role(name, metadata={"name": "release", "namespace": namespace}, rules=list(granted), opts=guarded)
        binding = rbac.v1.RoleBinding(
            name,
            metadata={"name": "release", "namespace": namespace},
            role_ref={"api_group": "rbac.authorization.k8s.io", "kind": "Role", "name": "release"},
            subjects=[{"api_group": "rbac.authorization.k8s.io", "kind": "Group", "name": RELEASE_GROUP}],
            opts=pulumi.ResourceOptions(parent=self, provider=args.provider, depends_on=[rights]),
        )
        return [made, account, shown, *closed, binding]


def _for_operator(args: ColorsArgs) -> dict[str, Reference]:
    return {**args.secrets, **args.operator_secrets}


def _own_probe(color: str, namespace: str, arn: pulumi.Input[str]) -> dict[str, Any]:
    """The statement with which a color's pods read only their own probes' secret.
    EKS adds the namespace to the session as a tag."""
    return {
        "Sid": f"ReadProbe{color.capitalize()}",
        "Effect": "Allow",
        "Action": ["secretsmanager:GetSecretValue", "secretsmanager:DescribeSecret"],
        "Resource": arn,
        "Condition": {"StringEquals": {"aws:PrincipalTag/kubernetes-namespace": namespace}},
    }


def namespace_labels() -> dict[str, str]:
    """Labels of a color's namespace: pods are restricted,
    and get the load balancer's readiness gate if Service and binding exist before them."""
    return {**_RESTRICTED, "eks.amazonaws.com/pod-readiness-gate-inject": "enabled"}


def model_arns(model_id: str, region: str, account_id: str) -> list[str]:
    """The ARNs to allow for a Bedrock id. An inference profile (`eu.`,
    `global.`) sends requests to the model in other regions too."""
    geography = re.match(r"^(us|eu|apac|jp|au|ca|us-gov|global)\.(.+)$", model_id)
    if geography is None:
        return [f"arn:aws:bedrock:{region}::foundation-model/{model_id}"]
    return [
        f"arn:aws:bedrock:{region}:{account_id}:inference-profile/{model_id}",
        f"arn:aws:bedrock:*::foundation-model/{geography.group(2)}",
    ]
