"""What a color needs before its first release: its namespace, its identity, and who may change it.

These belong to the platform, because a release must not be able to create namespaces, roles, or rights of its own.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import pulumi
from pulumi_kubernetes import core, rbac

from infra.components.pod_role import associate, pod_role, secret_statements
from infra.components.secrets import Reference, provider_class

NAMESPACES: Final = {"blue": "teal-blue", "green": "teal-green"}
SERVICE_ACCOUNT: Final = "teal"
# The Kubernetes Secret that the SecretProviderClass, named as its namespace, is copied to while a pod runs that mounts it.
SECRETS: Final = "teal"
# Service account and Secret of the Jobs that snapshot and restore search; their class is the namespace's name with this behind it.
OPERATOR: Final = "teal-operator"
OPERATOR_CLASS: Final = "-operator"
PROBE_VARIABLE: Final = "TEAL_PROBE_SECRET"  # each color has its own, so it is not among the secrets that both read
RELEASE_GROUP: Final = "teal:release"  # the release role's EKS access entry names this Kubernetes group
_ALL: Final = ("get", "list", "watch", "create", "update", "patch", "delete")
RELEASE_RULES: Final[tuple[rbac.v1.PolicyRuleArgsDict, ...]] = (
    {"api_groups": ["apps"], "resources": ["deployments", "statefulsets"], "verbs": [*_ALL]},
    {"api_groups": ["apps"], "resources": ["replicasets"], "verbs": ["get", "list", "watch"]},
    {"api_groups": [""], "resources": ["services"], "verbs": [*_ALL]},
    # Pods and events say why a deployment is not ready; a Job's log is the answer of `python -m app.admin`.
    {"api_groups": [""], "resources": ["pods", "pods/log", "events", "endpoints"], "verbs": ["get", "list", "watch"]},
    # There are none here, but Pulumi's wait for a Deployment opens a watch of them and goes on only when it has synced.
    {"api_groups": [""], "resources": ["persistentvolumeclaims"], "verbs": ["get", "list", "watch"]},
    {"api_groups": ["batch"], "resources": ["jobs", "cronjobs"], "verbs": [*_ALL]},
    {"api_groups": ["autoscaling"], "resources": ["horizontalpodautoscalers"], "verbs": [*_ALL]},
    {"api_groups": ["policy"], "resources": ["poddisruptionbudgets"], "verbs": [*_ALL]},
    {"api_groups": ["networking.k8s.io"], "resources": ["networkpolicies"], "verbs": [*_ALL]},
    {"api_groups": ["keda.sh"], "resources": ["scaledobjects"], "verbs": [*_ALL]},
    {"api_groups": ["eks.amazonaws.com"], "resources": ["targetgroupbindings"], "verbs": [*_ALL]},
)


@dataclass(frozen=True)
class ColorsArgs:
    """`secrets`: what pods read, by the name of the variable or file; `operator_secrets` stand in their place for a Job of the operator.

    `probe_secret_arns`: by color. `model_ids`: Bedrock models and inference profiles that pods may call; empty: none.
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
    kms_key_arn: pulumi.Input[str]
    model_ids: Sequence[str] = ()
    ready: Sequence[pulumi.Resource] = ()


class Colors(pulumi.ComponentResource):
    """Both namespaces with restricted pods and readiness gates, a role for their pods, one for their operator's Jobs, and the release
    role's rights in them.

    Cost: nothing by itself.
    """

    namespaces: dict[str, str]
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
        self.resources = []
        for color, namespace in NAMESPACES.items():
            self.resources += [
                associate(f"{name}-{color}", args.cluster_name, namespace, SERVICE_ACCOUNT, role, self),
                associate(f"{name}-{color}-operator", args.cluster_name, namespace, OPERATOR, operator, self),
                *self._in_cluster(f"{name}-{color}", color, namespace, args),
            ]
        self.namespaces, self.role_arn = dict(NAMESPACES), role.arn
        self.register_outputs({"role_arn": self.role_arn})

    def _in_cluster(self, name: str, color: str, namespace: str, args: ColorsArgs) -> list[pulumi.Resource]:
        made = core.v1.Namespace(
            name,
            metadata={"name": namespace, "labels": labels()},
            opts=pulumi.ResourceOptions(parent=self, provider=args.provider, depends_on=list(args.ready)),
        )
        inside = pulumi.ResourceOptions(parent=self, provider=args.provider, depends_on=[made])
        accounts = [
            core.v1.ServiceAccount(
                made_as,
                metadata={"name": account, "namespace": namespace},
                automount_service_account_token=False,  # pods do not talk to Kubernetes; Pod Identity brings a token of its own
                opts=inside,
            )
            for made_as, account in ((name, SERVICE_ACCOUNT), (f"{name}-operator", OPERATOR))
        ]
        own = {**args.secrets, PROBE_VARIABLE: Reference(args.probe_secret_arns[color])}
        shown = [
            provider_class(namespace, namespace, args.region, own, inside, copy_to=SECRETS),
            provider_class(f"{namespace}{OPERATOR_CLASS}", namespace, args.region, _for_operator(args), inside, copy_to=OPERATOR),
        ]
        rights = rbac.v1.Role(name, metadata={"name": "release", "namespace": namespace}, rules=list(RELEASE_RULES), opts=inside)
        binding = rbac.v1.RoleBinding(
            name,
            metadata={"name": "release", "namespace": namespace},
            role_ref={"api_group": "rbac.authorization.k8s.io", "kind": "Role", "name": "release"},
            subjects=[{"api_group": "rbac.authorization.k8s.io", "kind": "Group", "name": RELEASE_GROUP}],
            opts=pulumi.ResourceOptions(parent=self, provider=args.provider, depends_on=[rights]),
        )
        return [made, *accounts, *shown, binding]


def _for_operator(args: ColorsArgs) -> dict[str, Reference]:
    return {**args.secrets, **args.operator_secrets}


def _own_probe(color: str, namespace: str, arn: pulumi.Input[str]) -> dict[str, Any]:
    """A color's pods read their own probes' secret and not the other's. EKS puts the namespace into the session as a tag."""
    return {
        "Sid": f"ReadProbe{color.capitalize()}",
        "Effect": "Allow",
        "Action": ["secretsmanager:GetSecretValue", "secretsmanager:DescribeSecret"],
        "Resource": arn,
        "Condition": {"StringEquals": {"aws:PrincipalTag/kubernetes-namespace": namespace}},
    }


def labels() -> dict[str, str]:
    """A color's namespace: pods are restricted, and get traffic's gate if Service and binding are there before them."""
    levels = {f"pod-security.kubernetes.io/{mode}": "restricted" for mode in ("enforce", "audit", "warn")}
    return {**levels, "eks.amazonaws.com/pod-readiness-gate-inject": "enabled"}


def model_arns(model_id: str, region: str, account_id: str) -> list[str]:
    """What to grant for a Bedrock id. An inference profile (`eu.`, `global.`) sends requests to the model in other regions too."""
    geography = re.match(r"^(us|eu|apac|jp|au|ca|us-gov|global)\.(.+)$", model_id)
    if geography is None:
        return [f"arn:aws:bedrock:{region}::foundation-model/{model_id}"]
    return [
        f"arn:aws:bedrock:{region}:{account_id}:inference-profile/{model_id}",
        f"arn:aws:bedrock:*::foundation-model/{geography.group(2)}",
    ]
