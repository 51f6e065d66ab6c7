"""KEDA, which scales workers by the number of jobs waiting in PostgreSQL."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import pulumi
from pulumi_kubernetes import apiextensions, core
from pulumi_kubernetes import helm as helm_

from infra.platform.cluster.pod_role import associate, pod_role, secret_statements
from infra.platform.network import namespaces, rules

# Chart and application share this number. Source: github.com/kedacore/charts, release v2.20.2, read 2026-11-22.
# The chart could not be rendered where this was written; its CRDs are those of Go module kedacore/keda/v2 v2.20.2.
VERSION: Final = "2.20.2"
REPOSITORY: Final = "https://kedacore.github.io/charts"
NAMESPACE: Final = "keda"
SERVICE_ACCOUNT: Final = "keda-operator"  # the chart's default
AUTHENTICATION: Final = "database"  # what a color's ScaledObject refers to
_INSTALL_SECONDS: Final = 600  # a first node of Auto Mode takes a minute or two, and three images are pulled


@dataclass(frozen=True)
class AutoscalingArgs:
    """`cidr`: the VPC's, which contains API server and database. `ready`: resources that must exist before pods can run.
    `watched`: existing namespaces whose workers KEDA may scale.

    `database_secret_arn` holds JSON with `username` and `password`.
    """

    prefix: str
    cluster_name: pulumi.Input[str]
    cluster_arn: pulumi.Input[str]
    provider: pulumi.ProviderResource
    region: str
    cidr: str
    database_host: pulumi.Input[str]
    database_port: pulumi.Input[int]
    database_name: pulumi.Input[str]
    database_secret_arn: pulumi.Input[str]
    kms_key_arn: pulumi.Input[str]
    watched: Sequence[str]
    ready: Sequence[pulumi.Resource] = ()


class Autoscaling(pulumi.ComponentResource):
    """KEDA's operator, metrics adapter and webhooks, with a role that reads the database's secret and nothing else, and with
    rights to no Secret of another namespace.

    Each watched namespace has a TriggerAuthentication with the access to the database, so that a release only has to name it.
    Cost: three small pods, 0.3 CPU and 600 MiB requested.
    """

    release: helm_.v3.Release  # custom resources of KEDA depend on it
    resources: list[pulumi.Resource]  # a color's ScaledObject needs them
    role_arn: pulumi.Output[str]

    def __init__(self, name: str, args: AutoscalingArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("teal:infra:Autoscaling", name, None, opts)
        statements = secret_statements([args.database_secret_arn], args.kms_key_arn)
        role = pod_role(name, f"{args.prefix}-keda", args.cluster_arn, statements, self)
        association = associate(name, args.cluster_name, NAMESPACE, SERVICE_ACCOUNT, role, self)
        namespace = core.v1.Namespace(
            name,
            metadata={"name": NAMESPACE, "labels": {"pod-security.kubernetes.io/enforce": "restricted"}},
            opts=pulumi.ResourceOptions(parent=self, provider=args.provider, depends_on=list(args.ready)),
        )
        closed = rules.install_policies(
            name,
            NAMESPACE,
            namespaces.keda(args.cidr),
            pulumi.ResourceOptions(parent=self, provider=args.provider, depends_on=[namespace]),
        )
        self.release = helm_.v3.Release(
            name,
            name="keda",
            chart="keda",
            version=VERSION,
            repository_opts={"repo": REPOSITORY},
            namespace=NAMESPACE,
            create_namespace=False,
            atomic=True,
            timeout=_INSTALL_SECONDS,
            values=chart_values(args.watched),
            # The association is created first, because pods get their role only at their creation.
            opts=pulumi.ResourceOptions(parent=self, provider=args.provider, depends_on=[namespace, association, *closed]),
        )
        self.resources = [made for one in args.watched for made in self._authentication(f"{name}-{one}", one, args)]
        self.role_arn = role.arn
        self.register_outputs({"role_arn": self.role_arn})

    def _authentication(self, name: str, namespace: str, args: AutoscalingArgs) -> list[pulumi.Resource]:
        inside = pulumi.ResourceOptions(parent=self, provider=args.provider, depends_on=[self.release])
        metadata = {"name": AUTHENTICATION, "namespace": namespace}
        place = core.v1.ConfigMap(
            name,
            metadata={"name": AUTHENTICATION, "namespace": namespace},
            data={
                "host": args.database_host,
                "port": pulumi.Output.from_input(args.database_port).apply(str),
                "dbName": args.database_name,
                "sslmode": "require",  # verify-full would need the CA of RDS, which KEDA's image does not contain
            },
            opts=inside,
        )
        authentication = apiextensions.CustomResource(
            name,
            api_version="keda.sh/v1alpha1",
            kind="TriggerAuthentication",
            metadata=metadata,
            spec={
                "configMapTargetRef": [
                    {"parameter": key, "name": AUTHENTICATION, "key": key} for key in ("host", "port", "dbName", "sslmode")
                ],
                "awsSecretManager": {
                    "region": args.region,
                    "podIdentity": {"provider": "aws"},  # KEDA's own role, by Pod Identity
                    "secrets": [
                        {"parameter": parameter, "name": args.database_secret_arn, "secretKey": key}
                        for parameter, key in (("userName", "username"), ("password", "password"))
                    ],
                },
            },
            opts=inside,
        )
        return [place, authentication]


def chart_values(watched: Sequence[str]) -> dict[str, Any]:
    """The chart's values. The chart's own pods are restricted by default: not root, read-only root, no capabilities."""
    return {
        "watchNamespace": ",".join(watched),
        "operator": {"replicaCount": 2},  # one leads; the other takes over in seconds
        "metricsServer": {"replicaCount": 1},
        "webhooks": {"replicaCount": 1},
        "resources": {
            "operator": _resources("100m", "200Mi", "500Mi"),
            "metricServer": _resources("100m", "100Mi", "300Mi"),
            "webhooks": _resources("50m", "50Mi", "100Mi"),
        },
        "podDisruptionBudget": {"operator": {"minAvailable": 1}},
        # Otherwise the operator may list every Secret of the cluster, reads those that the workers' variables name, and makes no
        # autoscaler while one of them is missing. Source: kedacore/charts, templates/manager/deployment.yaml and minimal-rbac.yaml.
        "permissions": {"operator": {"restrict": {"secret": True}}},
    }


def _resources(cpu: str, memory: str, limit: str) -> dict[str, Any]:
    return {"requests": {"cpu": cpu, "memory": memory}, "limits": {"cpu": "1", "memory": limit}}
