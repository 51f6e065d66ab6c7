"""Makes up the id of each resource type in the provider's own form, so that the mocks do not hide confused ids,
names and ARNs.

Each form is that of the import documentation of pulumi-aws (section "Import" of the type's class). If a type is imported by
something other than its id, its line says so. tests/unit/infra/evaluation/test_ids.py checks the table against those examples.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from contract.names import EXAMPLE_ACCOUNT as ACCOUNT

Id = Callable[[str, Mapping[str, Any], str, str], str]  # physical name, inputs, region, hex of 12 characters


def uuid(digest: str) -> str:
    """A UUID of version 4 made of the hex."""
    return f"{digest[:8]}-{digest[8:12]}-4{digest[:3]}-8{digest[3:6]}-{digest}"


def hex_id(digest: str, length: int = 17) -> str:
    """The hex that EC2 (17) and load balancers (16) put behind a prefix."""
    return (digest * 2)[:length]


def prefixed_id(prefix: str) -> Id:
    return lambda _n, _i, _r, digest: f"{prefix}-{hex_id(digest)}"


def joined_id(separator: str, *keys: str) -> Id:
    return lambda _n, inputs, _r, _d: separator.join(str(inputs[key]) for key in keys)


def id_of_key(key: str) -> Id:
    return lambda _n, inputs, _r, _d: str(inputs[key])


def web_acl_arn(name: str, region: str, digest: str) -> str:
    return f"arn:aws:wafv2:{region}:{ACCOUNT}:regional/webacl/{name}/{uuid(digest)}"


IDS: Final[Mapping[str, Id]] = {
    "aws:amp/alertManagerDefinition:AlertManagerDefinition": id_of_key("workspaceId"),
    "aws:amp/scraper:Scraper": lambda _n, _i, _r, digest: f"s-{uuid(digest)}",
    "aws:amp/workspace:Workspace": lambda _n, _i, _r, digest: f"ws-{uuid(digest)}",
    "aws:backup/plan:Plan": lambda _n, _i, _r, digest: uuid(digest),
    "aws:backup/restoreTestingPlan:RestoreTestingPlan": id_of_key("name"),
    "aws:backup/restoreTestingSelection:RestoreTestingSelection": joined_id(":", "name", "restoreTestingPlanName"),
    "aws:backup/selection:Selection": lambda _n, _i, _r, digest: uuid(digest),  # imported by plan|selection
    "aws:backup/vaultLockConfiguration:VaultLockConfiguration": id_of_key("backupVaultName"),
    "aws:budgets/budget:Budget": lambda name, _i, _r, _d: f"{ACCOUNT}:{name}",
    "aws:ec2/defaultSecurityGroup:DefaultSecurityGroup": prefixed_id("sg"),
    "aws:ec2/eip:Eip": prefixed_id("eipalloc"),
    "aws:ec2/flowLog:FlowLog": prefixed_id("fl"),
    "aws:ec2/internetGateway:InternetGateway": prefixed_id("igw"),
    "aws:ec2/natGateway:NatGateway": prefixed_id("nat"),
    "aws:ec2/route:Route": lambda _n, inputs, _r, digest: (
        f"r-{inputs['routeTableId']}{int(digest[:7], 16)}"
    ),  # imported by table_network
    "aws:ec2/routeTable:RouteTable": prefixed_id("rtb"),
    "aws:ec2/routeTableAssociation:RouteTableAssociation": prefixed_id("rtbassoc"),  # imported by subnet/table
    "aws:ec2/securityGroup:SecurityGroup": prefixed_id("sg"),
    "aws:ec2/subnet:Subnet": prefixed_id("subnet"),
    "aws:ec2/vpc:Vpc": prefixed_id("vpc"),
    "aws:ec2/vpcEndpoint:VpcEndpoint": prefixed_id("vpce"),
    "aws:eks/accessEntry:AccessEntry": joined_id(":", "clusterName", "principalArn"),
    "aws:eks/accessPolicyAssociation:AccessPolicyAssociation": joined_id("#", "clusterName", "principalArn", "policyArn"),
    "aws:eks/addon:Addon": joined_id(":", "clusterName", "addonName"),
    "aws:eks/podIdentityAssociation:PodIdentityAssociation": prefixed_id("a"),  # imported by cluster,association
    "aws:iam/rolePolicy:RolePolicy": lambda name, inputs, _r, _d: f"{inputs['role']}:{name}",
    "aws:iam/rolePolicyAttachment:RolePolicyAttachment": joined_id("/", "role", "policyArn"),
    "aws:kms/key:Key": lambda _n, _i, _r, digest: uuid(digest),
    "aws:rds/instance:Instance": lambda _n, _i, _r, digest: (
        f"db-{hex_id(digest, 24).upper()}AB"
    ),  # RDS' resource id; imported by name
    "aws:route53/record:Record": lambda _n, inputs, _r, _d: f"{inputs['zoneId']}_{inputs['name']}_{inputs['type']}",
    "aws:scheduler/schedule:Schedule": lambda name, _i, _r, _d: f"default/{name}",
    "aws:secretsmanager/secretRotation:SecretRotation": id_of_key("secretId"),
    "aws:secretsmanager/secretVersion:SecretVersion": lambda _n, inputs, _r, digest: f"{inputs['secretId']}|{uuid(digest)}",
    "aws:sns/topicPolicy:TopicPolicy": id_of_key("arn"),
    "aws:sns/topicSubscription:TopicSubscription": lambda _n, inputs, _r, digest: f"{inputs['topic']}:{uuid(digest)}",
    "aws:vpc/securityGroupEgressRule:SecurityGroupEgressRule": prefixed_id("sgr"),
    "aws:vpc/securityGroupIngressRule:SecurityGroupIngressRule": prefixed_id("sgr"),
    "aws:wafv2/webAcl:WebAcl": lambda _n, _i, _r, digest: uuid(digest),  # imported by id/name/scope
    "aws:wafv2/webAclAssociation:WebAclAssociation": joined_id(",", "webAclArn", "resourceArn"),
    "aws:wafv2/webAclLoggingConfiguration:WebAclLoggingConfiguration": id_of_key("resourceArn"),
}
# Their id is their ARN.
ARN_IS_ID: Final = frozenset(
    {
        "aws:acm/certificate:Certificate",
        "aws:amp/ruleGroupNamespace:RuleGroupNamespace",
        "aws:iam/openIdConnectProvider:OpenIdConnectProvider",
        "aws:iam/policy:Policy",
        "aws:lb/listener:Listener",
        "aws:lb/listenerRule:ListenerRule",
        "aws:lb/loadBalancer:LoadBalancer",
        "aws:lb/targetGroup:TargetGroup",
        "aws:secretsmanager/secret:Secret",
        "aws:sns/topic:Topic",
    }
)
