"""The search component: Elasticsearch run by ECK, its users, its snapshots, and the Job that configures it."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, cast

import pulumi
import pulumi_random as random
from pulumi_aws import secretsmanager
from pulumi_kubernetes import apiextensions, batch, core, networking

from infra.config.sections import SearchConfig
from infra.platform.search import users
from infra.platform.search.network import search_network_policies
from infra.platform.search.operator import install_operator
from infra.platform.search.resources import (
    CA_SECRET,
    NAME,
    NAMESPACE,
    SERVICE_ACCOUNT,
    URL,
    ClusterShape,
    elasticsearch_spec,
    kibana,
    zones,
)
from infra.platform.search.setup import REPOSITORY, files, job, job_name, requests
from infra.platform.search.snapshots import SnapshotBucket, SnapshotsArgs

ROLES_SECRET: Final = "teal-roles"  # noqa: S105  # a name
RECOVERY_DAYS: Final = 0  # as for the cache: the value can be made again, and the name must be free for the next `up`
SETUP_TIMEOUT: Final = "45m"  # longer than the Job's own deadline, so that the Job's message is shown


@dataclass(frozen=True)
class SearchArgs:
    """`client_namespaces`: those that may connect. `cidr`: the VPC's.
    `ready`: resources that must exist before pods can run (pools, storage class)."""

    prefix: str
    region: str
    account_id: pulumi.Input[str]
    config: SearchConfig
    network_zones: int
    cidr: str
    storage_class: str
    kms_key_arn: pulumi.Input[str]
    oidc_provider_arn: pulumi.Input[str]
    oidc_issuer: pulumi.Input[str]
    provider: pulumi.ProviderResource
    client_namespaces: Sequence[str]
    ready: Sequence[pulumi.Resource] = ()


class Search(pulumi.ComponentResource):
    """An encrypted Elasticsearch with users, whose disks are kept, and which proves at `pulumi up` that it can write snapshots.

    Cost: `nodes` machines of `memory_gib` and their gp3 disks, snapshots, one small pod each for the operator and Kibana.
    """

    url: str
    ca_secret: str  # in the search namespace, key `ca.crt`
    namespace: str
    repository: str
    credentials_secret_arn: pulumi.Output[str]  # of the service: {"username", "password", "ca_certificate"}
    operator_secret_arn: pulumi.Output[str]  # of `python -m app.admin snapshot, verify, restore`: the same keys
    bucket_name: pulumi.Output[str]
    bucket_arn: pulumi.Output[str]
    role_arn: pulumi.Output[str]
    resources: list[pulumi.Resource]

    def __init__(self, name: str, args: SearchArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("teal:infra:Search", name, None, opts)
        self._name, self._args = name, args
        self.url, self.ca_secret, self.namespace, self.repository = URL, CA_SECRET, NAMESPACE, REPOSITORY
        snapshots = SnapshotBucket(
            name,
            SnapshotsArgs(args.prefix, args.account_id, args.kms_key_arn, args.oidc_provider_arn, args.oidc_issuer),
            pulumi.ResourceOptions(parent=self),
        )
        self.bucket_name, self.bucket_arn, self.role_arn = snapshots.bucket_name, snapshots.bucket_arn, snapshots.role_arn
        release = install_operator(name, [NAMESPACE], args.cidr, args.provider, args.ready, self)
        namespace = core.v1.Namespace(
            name,
            # What ECK 3.5 makes of these custom resources is let in, init containers too (tests/node/test_operator.py).
            metadata={"name": NAMESPACE, "labels": {"pod-security.kubernetes.io/enforce": "restricted"}},
            opts=self._opts(args.ready),
        )
        self._before = [release, namespace, *snapshots.resources]
        for policy, spec in search_network_policies(args.cidr, args.client_namespaces).items():
            networking.v1.NetworkPolicy(
                f"{name}-{policy}", metadata=self._meta(policy), spec=cast(Any, spec), opts=self._opts([namespace])
            )
        passwords = {user: self._password(user) for user in (users.APP, users.OPERATOR, users.SETUP, users.METRICS)}
        held = self._held(passwords)
        cluster = self._cluster(held)
        setup = self._setup(cluster)
        self.resources = [cluster, setup]
        certificate = self._certificate(setup)
        self.credentials_secret_arn = self._secret(users.APP, passwords[users.APP], certificate)
        self.operator_secret_arn = self._secret(users.OPERATOR, passwords[users.OPERATOR], certificate)
        self.register_outputs({"url": self.url, "bucket_name": self.bucket_name})

    def _opts(self, depends_on: Sequence[pulumi.Resource], protect: bool = False) -> pulumi.ResourceOptions:
        return pulumi.ResourceOptions(parent=self, provider=self._args.provider, depends_on=list(depends_on), protect=protect)

    def _meta(self, name: str) -> Any:
        return {"name": name, "namespace": NAMESPACE, "labels": {"app.kubernetes.io/part-of": "teal"}}

    def _password(self, user: str) -> pulumi.Output[str]:
        # No special characters, because it is used unescaped in a curl configuration and in a URL.
        made = random.RandomPassword(
            f"{self._name}-{user}", length=users.PASSWORD_CHARACTERS, special=False, opts=pulumi.ResourceOptions(parent=self)
        )
        return made.result

    def _held(self, passwords: Mapping[str, pulumi.Output[str]]) -> list[pulumi.Resource]:
        """The Secrets from which ECK reads users and roles, and the service account with access to S3."""
        held: list[pulumi.Resource] = [
            core.v1.Secret(
                f"{self._name}-{user}",
                metadata=self._meta(user),
                type="kubernetes.io/basic-auth",
                string_data=users.basic_auth(user, password),
                opts=self._opts(self._before),
            )
            for user, password in passwords.items()
        ]
        held.append(
            core.v1.Secret(
                f"{self._name}-roles",
                metadata=self._meta(ROLES_SECRET),
                string_data={"roles.yml": users.roles_file()},
                opts=self._opts(self._before),
            )
        )
        held.append(
            core.v1.ServiceAccount(
                self._name,
                metadata=self._meta(SERVICE_ACCOUNT),
                automount_service_account_token=False,
                opts=self._opts(self._before),
            )
        )
        return held

    def _cluster(self, held: Sequence[pulumi.Resource]) -> apiextensions.CustomResource:
        config = self._args.config
        shape = ClusterShape(
            config=config,
            zones=zones(config, self._args.network_zones),
            region=self._args.region,
            storage_class=self._args.storage_class,
            role_arn=self.role_arn,
            user_secrets=(users.APP, users.OPERATOR, users.SETUP, users.METRICS),
            roles_secret=ROLES_SECRET,
        )
        cluster = apiextensions.CustomResource(
            self._name,
            api_version="elasticsearch.k8s.elastic.co/v1",
            kind="Elasticsearch",
            metadata=self._meta(NAME),
            spec=elasticsearch_spec(shape),
            opts=self._opts([*self._before, *held], protect=True),
        )
        if config.kibana:
            apiextensions.CustomResource(
                f"{self._name}-kibana",
                api_version="kibana.k8s.elastic.co/v1",
                kind="Kibana",
                metadata=self._meta(NAME),
                spec=kibana(config.version),
                opts=self._opts([cluster]),
            )
        return cluster

    def _setup(self, cluster: pulumi.Resource) -> batch.v1.Job:
        config = self._args.config
        content = self.bucket_name.apply(lambda bucket: files(requests(config, bucket)))
        job_id = content.apply(lambda known: job_name(known, config.version))
        shipped = core.v1.ConfigMap(
            f"{self._name}-setup", metadata=self._meta(cast(Any, job_id)), data=content, opts=self._opts([cluster])
        )
        return batch.v1.Job(
            f"{self._name}-setup",
            metadata=self._meta(cast(Any, job_id)),
            spec=cast(Any, job_id.apply(lambda known: job(config.version, known, users.SETUP))),
            opts=pulumi.ResourceOptions.merge(
                self._opts([cluster, shipped]),
                pulumi.ResourceOptions(custom_timeouts=pulumi.CustomTimeouts(create=SETUP_TIMEOUT, update=SETUP_TIMEOUT)),
            ),
        )

    def _certificate(self, setup: batch.v1.Job) -> pulumi.Output[str]:
        """ECK's CA certificate, read after the set-up Job has reached Elasticsearch.
        It is unknown in a preview of an empty stack."""
        identifier = setup.id.apply(lambda _: f"{NAMESPACE}/{CA_SECRET}")
        held = core.v1.Secret.get(f"{self._name}-ca", identifier, opts=self._opts([setup]))
        return held.data.apply(lambda data: base64.b64decode((data or {}).get("ca.crt", "")).decode())

    def _secret(self, user: str, password: pulumi.Output[str], certificate: pulumi.Output[str]) -> pulumi.Output[str]:
        child = pulumi.ResourceOptions(parent=self)
        secret = secretsmanager.Secret(
            f"{self._name}-{user}",
            name=f"{self._args.prefix}/search/{user}",
            description=f"Elasticsearch user {user}",
            kms_key_id=self._args.kms_key_arn,
            recovery_window_in_days=RECOVERY_DAYS,
            opts=pulumi.ResourceOptions(parent=self, protect=True),
        )
        content = {"username": user, "password": password, "ca_certificate": certificate}
        secretsmanager.SecretVersion(
            f"{self._name}-{user}",
            secret_id=secret.id,
            secret_string=pulumi.Output.secret(pulumi.Output.json_dumps(content)),
            opts=child,
        )
        return secret.arn
