"""The registry of images, and the rights of GitHub's roles."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import pulumi
from pulumi_aws import ecr, eks, iam

from infra.delivery import policies
from infra.delivery.github_roles import GithubRoles, Kind
from infra.delivery.promotion import StackPlace, repository_reader
from infra.platform.cluster.colors import RELEASE_GROUP

# Kubernetes groups that the access entries put the roles in; RBAC gives the groups their rights.
GROUPS: Final[Mapping[Kind, str]] = {"release": RELEASE_GROUP, "preview": "teal:preview"}


@dataclass(frozen=True)
class DeliveryArgs:
    """The ARNs are those that the release role is limited to.
    `where` names the state; `roles` come from `GithubRoles`, None without GitHub."""

    where: policies.StateLocation
    roles: GithubRoles | None
    images_key_arn: pulumi.Input[str]
    data_key_arn: pulumi.Input[str]
    rule_arn: pulumi.Input[str]
    cluster_name: pulumi.Input[str]
    cluster_arn: pulumi.Input[str]
    release_bucket_arn: pulumi.Input[str]
    workspace_arn: pulumi.Input[str]
    probe_secret_arns: Sequence[pulumi.Input[str]]
    app_secret_arns: Sequence[pulumi.Input[str]]
    key_arns: Sequence[pulumi.Input[str]]
    hosted_zone_id: str | None = None
    topic_arns: Sequence[str] = ()  # SNS topics that a release sends its notifications to
    promoted_from: StackPlace | None = None  # the stack that images come from
    reader: StackPlace | None = None  # the stack in another account that images go to


class Delivery(pulumi.ComponentResource):
    """One repository with immutable tags, scanned at each push, and the policies of the four roles.

    No image is deleted automatically. ECR's lifecycle rules use counts, tags and ages, and every tag here is a commit, so no rule
    can distinguish the running image from one that was never released. Nor may a rule delete untagged images, which are the
    signatures and SBOMs (cosign 3 writes OCI 1.1 referrers; aws/containers-roadmap#2613). ECR deletes those within a day after
    their image, which a person deletes: `aws ecr batch-delete-image`. Cost: 0.10 USD a GB and month of images.
    The repository is protected: rollback needs its images.
    """

    repository_url: pulumi.Output[str]
    repository_arn: pulumi.Output[str]
    role_arns: dict[Kind, pulumi.Output[str]]

    def __init__(self, name: str, args: DeliveryArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("teal:infra:Delivery", name, None, opts)
        repository = ecr.Repository(
            name,
            name=args.where.prefix,
            image_tag_mutability="IMMUTABLE",
            image_scanning_configuration={"scan_on_push": True},
            encryption_configurations=[{"encryption_type": "KMS", "kms_key": args.images_key_arn}],
            force_delete=False,
            opts=pulumi.ResourceOptions(parent=self, protect=True),
        )
        self.repository_url, self.repository_arn = repository.repository_url, repository.arn
        if args.reader:
            document = {"Version": "2012-10-17", "Statement": [repository_reader(args.reader)]}
            ecr.RepositoryPolicy(
                name, repository=repository.name, policy=json.dumps(document), opts=pulumi.ResourceOptions(parent=self)
            )
        self.role_arns = dict(args.roles.arns) if args.roles else {}
        if args.roles:
            self._grant(name, args, args.roles)
        self.register_outputs({"repository_url": self.repository_url, "role_arns": self.role_arns})

    def _grant(self, name: str, args: DeliveryArgs, roles: GithubRoles) -> None:
        child = pulumi.ResourceOptions(parent=self)
        granted: dict[Kind, Sequence[policies.Statement]] = {
            "preview": policies.preview_statements(args.where, args.cluster_arn),
            "build": policies.build_statements(self.repository_arn, args.promoted_from),
            "release": policies.release_statements(
                args.where,
                rule_arn=args.rule_arn,
                cluster_arn=args.cluster_arn,
                repository_arn=self.repository_arn,
                release_bucket_arn=args.release_bucket_arn,
                data_key_arn=args.data_key_arn,
                workspace_arn=args.workspace_arn,
                probe_secret_arns=args.probe_secret_arns,
                app_secret_arns=args.app_secret_arns,
                topic_arns=args.topic_arns,
                promoted_from=args.promoted_from,
            ),
            "up": policies.up_statements(args.where, args.key_arns, args.hosted_zone_id),
        }
        for kind, statements in granted.items():
            document: dict[str, Any] = {"Version": "2012-10-17", "Statement": list(statements)}
            iam.RolePolicy(f"{name}-{kind}", role=roles.roles[kind].id, policy=pulumi.Output.json_dumps(document), opts=child)
        for kind, group in GROUPS.items():
            eks.AccessEntry(
                f"{name}-{kind}",
                cluster_name=args.cluster_name,
                principal_arn=roles.arns[kind],
                kubernetes_groups=[group],
                opts=child,
            )
