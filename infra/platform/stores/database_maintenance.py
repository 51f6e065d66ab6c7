"""Weekly maintenance that autovacuum does not do: ANALYZE, VACUUM and reindexing against bloat, while the service runs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, cast

import pulumi
from pulumi_kubernetes import batch, core

from contract import pods
from infra.platform.cluster import restricted
from infra.platform.cluster.pod_role import associate, pod_role, secret_statements
from infra.platform.cluster.secrets import Reference, provider_class
from infra.platform.network import namespaces, rules

# PostgreSQL's own client programs. By version: no source of the digest could be opened here (unverified).
IMAGE: Final = "public.ecr.aws/docker/library/postgres:17.6-bookworm"
USER: Final = 999  # `postgres` of that image (unverified); files are only read, so any number but 0 would do
NAMESPACE: Final = "teal-maintenance"
NAME: Final = "database-maintenance"
SCRIPT: Final = Path(__file__).with_name("database_maintenance.sh")
DEADLINE_SECONDS: Final = 4 * 3600  # Sunday 03:30 to 07:30: over before Monday in any zone


@dataclass(frozen=True)
class MaintenanceArgs:
    """`cidr`: the VPC's, which contains the database. `driver`: gives the pod its secret.
    `ready`: resources that must exist before pods can run."""

    prefix: str
    region: str
    cidr: str
    schedule: str
    endpoint: pulumi.Input[str]
    port: int
    database: str
    secret_arn: pulumi.Input[str]
    kms_key_arn: pulumi.Input[str]
    cluster_name: pulumi.Input[str]
    cluster_arn: pulumi.Input[str]
    provider: pulumi.ProviderResource
    driver: pulumi.Resource
    ready: Sequence[pulumi.Resource] = ()


class Maintenance(pulumi.ComponentResource):
    """A CronJob with the database's password and nothing else, one at a time, cut off after 4 hours. Cost: minutes of a small pod a week."""

    def __init__(self, name: str, args: MaintenanceArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("teal:infra:Maintenance", name, None, opts)
        role = pod_role(
            name,
            f"{args.prefix}-database-maintenance",
            args.cluster_arn,
            secret_statements([args.secret_arn], args.kms_key_arn),
            self,
        )
        association = associate(name, args.cluster_name, NAMESPACE, NAME, role, self)
        namespace = core.v1.Namespace(
            name,
            metadata={"name": NAMESPACE, "labels": {"pod-security.kubernetes.io/enforce": "restricted"}},
            opts=pulumi.ResourceOptions(parent=self, provider=args.provider, depends_on=list(args.ready)),
        )
        inside = pulumi.ResourceOptions(parent=self, provider=args.provider, depends_on=[namespace, args.driver])
        account = core.v1.ServiceAccount(
            name, metadata={"name": NAME, "namespace": NAMESPACE}, automount_service_account_token=False, opts=inside
        )
        references = {"username": Reference(args.secret_arn, "username"), "password": Reference(args.secret_arn, "password")}
        secrets = provider_class(NAME, NAMESPACE, args.region, references, inside)
        script = core.v1.ConfigMap(
            name, metadata={"name": NAME, "namespace": NAMESPACE}, data={"run.sh": SCRIPT.read_text()}, opts=inside
        )
        closed = rules.install_policies(name, NAMESPACE, namespaces.maintenance(args.cidr), inside)
        batch.v1.CronJob(
            name,
            metadata={"name": NAME, "namespace": NAMESPACE},
            spec=cast(Any, cron(args.schedule, maintenance_pod(args.endpoint, args.port, args.database))),
            opts=pulumi.ResourceOptions(
                parent=self, provider=args.provider, depends_on=[account, secrets, script, association, *closed]
            ),
        )
        self.register_outputs({})


def cron(schedule: str, template: dict[str, Any]) -> dict[str, Any]:
    """A CronJob's spec: in UTC, never two at once; a missed start is made up within an hour, and a failure is retried once."""
    job = {"backoffLimit": 1, "activeDeadlineSeconds": DEADLINE_SECONDS, "template": template}
    return {
        "schedule": schedule,
        "timeZone": "Etc/UTC",
        "concurrencyPolicy": "Forbid",
        "startingDeadlineSeconds": 3600,
        "successfulJobsHistoryLimit": 3,
        "failedJobsHistoryLimit": 3,
        "jobTemplate": {"spec": job},
    }


def maintenance_pod(endpoint: pulumi.Input[str], port: int, database: str) -> dict[str, Any]:
    """A restricted pod that runs the script; the password stays in the driver's files."""
    environment = {
        "PGHOST": endpoint,
        "PGPORT": str(port),
        "PGDATABASE": database,
        "PGSSLMODE": "require",
        "SECRETS": pods.SECRETS_FOLDER,
    }
    container = {
        "name": "maintenance",
        "image": IMAGE,
        "command": ["/bin/sh", "/scripts/run.sh"],
        "env": [{"name": key, "value": value} for key, value in environment.items()],
        "resources": {"requests": {"cpu": "50m", "memory": "64Mi"}, "limits": {"cpu": "250m", "memory": "128Mi"}},
        "securityContext": restricted.CONTAINER,
        "volumeMounts": [
            {"name": "scripts", "mountPath": "/scripts", "readOnly": True},
            {"name": "secrets", "mountPath": pods.SECRETS_FOLDER, "readOnly": True},
        ],
    }
    return {
        "metadata": {"labels": {"app.kubernetes.io/name": NAME, "app.kubernetes.io/part-of": "teal"}},
        "spec": {
            "serviceAccountName": NAME,
            "automountServiceAccountToken": False,
            "restartPolicy": "Never",
            "securityContext": restricted.pod_of(USER),
            "containers": [container],
            "volumes": [{"name": "scripts", "configMap": {"name": NAME}}, pods.secrets_volume(NAME)],
        },
    }
