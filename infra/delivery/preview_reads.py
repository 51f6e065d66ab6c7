"""What GitHub's preview role may look at in AWS: how each thing of the program is set up, never what is in it.

A plan asks for zones, prefix lists and the caller; the nightly look at drift reads every resource again. No secret's value, no log line, no
object of a bucket, no layer of an image. None of it ran against AWS.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

# By service, at the same ARNs that the role `up` may change.
READS: Final[Mapping[str, tuple[str, ...]]] = {
    "rds": ("Describe*", "ListTagsForResource"),
    "elasticache": ("Describe*", "ListTagsForResource"),
    "eks": ("Describe*", "ListAssociatedAccessPolicies", "ListTagsForResource"),
    "s3": (
        "GetBucket*",
        "GetEncryptionConfiguration",
        "GetLifecycleConfiguration",
        "GetReplicationConfiguration",
        "GetAccelerateConfiguration",
        "ListBucket",
    ),
    "secretsmanager": ("DescribeSecret", "GetResourcePolicy"),
    "sns": ("GetTopicAttributes", "GetSubscriptionAttributes", "ListTagsForResource"),
    "ecr": ("DescribeRepositories", "GetLifecyclePolicy", "GetRepositoryPolicy", "ListTagsForResource"),
    "cloudwatch": ("DescribeAlarms", "GetDashboard", "ListTagsForResource"),
    "events": ("DescribeRule", "ListTargetsByRule", "ListTagsForResource"),
    "lambda": ("GetFunction", "GetFunctionCodeSigningConfig", "GetPolicy", "ListVersionsByFunction", "ListTags"),
    "logs": ("ListTagsForResource",),
    "backup": ("DescribeBackupVault", "GetBackupPlan", "GetBackupSelection", "ListTags"),
    "aps": ("Describe*", "ListTagsForResource"),
    "budgets": ("ViewBudget", "ListTagsForResource"),
    "acm": ("DescribeCertificate", "ListTagsForCertificate"),
    "wafv2": ("GetWebACL", "GetWebACLForResource", "GetLoggingConfiguration", "ListTagsForResource"),
    "kms": ("DescribeKey", "GetKeyPolicy", "GetKeyRotationStatus", "ListResourceTags"),
    "route53": ("GetHostedZone", "GetChange", "ListResourceRecordSets"),
}
# The reads that take no ARN; each is in the tables of delivery_policies with its reason.
UNLIMITED_READS: Final = ("ec2:Describe*", "elasticloadbalancing:Describe*", "kms:ListAliases", "logs:DescribeLogGroups")
ROLE_READS: Final = ("iam:GetRole", "iam:GetRolePolicy", "iam:ListRolePolicies", "iam:ListAttachedRolePolicies")
# What a refresh can only read with the values in it; the drift workflow leaves these types out.
LEFT_OUT: Final = ("aws:secretsmanager/secretVersion:SecretVersion", "kubernetes:core/v1:Secret", "kubernetes:helm.sh/v3:Release")
# What the provider's Read of each type of the program asks, as IAM actions. Written from the API that each type wraps (the names of the
# operations are checked against botocore's models by a test); no Read ran against AWS, so an action may be missing: unverified.
READ_CALLS: Final[Mapping[str, tuple[str, ...]]] = {
    "aws:acm/certificate:Certificate": ("acm:DescribeCertificate", "acm:ListTagsForCertificate"),
    "aws:acm/certificateValidation:CertificateValidation": ("acm:DescribeCertificate",),
    "aws:amp/alertManagerDefinition:AlertManagerDefinition": ("aps:DescribeAlertManagerDefinition",),
    "aws:amp/ruleGroupNamespace:RuleGroupNamespace": ("aps:DescribeRuleGroupsNamespace",),
    "aws:amp/scraper:Scraper": ("aps:DescribeScraper",),
    "aws:amp/workspace:Workspace": ("aps:DescribeWorkspace", "aps:DescribeLoggingConfiguration"),
    "aws:backup/plan:Plan": ("backup:GetBackupPlan", "backup:ListTags"),
    "aws:backup/selection:Selection": ("backup:GetBackupSelection",),
    "aws:backup/vault:Vault": ("backup:DescribeBackupVault", "backup:ListTags"),
    "aws:backup/vaultLockConfiguration:VaultLockConfiguration": ("backup:DescribeBackupVault",),
    "aws:budgets/budget:Budget": ("budgets:ViewBudget", "budgets:ListTagsForResource"),
    "aws:cloudwatch/dashboard:Dashboard": ("cloudwatch:GetDashboard",),
    "aws:cloudwatch/eventRule:EventRule": ("events:DescribeRule", "events:ListTagsForResource"),
    "aws:cloudwatch/eventTarget:EventTarget": ("events:ListTargetsByRule",),
    "aws:cloudwatch/logGroup:LogGroup": ("logs:DescribeLogGroups", "logs:ListTagsForResource"),
    "aws:cloudwatch/metricAlarm:MetricAlarm": ("cloudwatch:DescribeAlarms", "cloudwatch:ListTagsForResource"),
    "aws:ec2/defaultSecurityGroup:DefaultSecurityGroup": ("ec2:DescribeSecurityGroups",),
    "aws:ec2/eip:Eip": ("ec2:DescribeAddresses", "ec2:DescribeAddressesAttribute"),
    "aws:ec2/flowLog:FlowLog": ("ec2:DescribeFlowLogs",),
    "aws:ec2/internetGateway:InternetGateway": ("ec2:DescribeInternetGateways",),
    "aws:ec2/natGateway:NatGateway": ("ec2:DescribeNatGateways",),
    "aws:ec2/route:Route": ("ec2:DescribeRouteTables",),
    "aws:ec2/routeTable:RouteTable": ("ec2:DescribeRouteTables",),
    "aws:ec2/routeTableAssociation:RouteTableAssociation": ("ec2:DescribeRouteTables",),
    "aws:ec2/securityGroup:SecurityGroup": ("ec2:DescribeSecurityGroups", "ec2:DescribeSecurityGroupRules"),
    "aws:ec2/subnet:Subnet": ("ec2:DescribeSubnets",),
    "aws:ec2/vpc:Vpc": ("ec2:DescribeVpcs", "ec2:DescribeVpcAttribute", "ec2:DescribeNetworkAcls", "ec2:DescribeRouteTables", "ec2:DescribeSecurityGroups"),
    "aws:ec2/vpcEndpoint:VpcEndpoint": ("ec2:DescribeVpcEndpoints", "ec2:DescribePrefixLists"),
    "aws:ecr/repository:Repository": ("ecr:DescribeRepositories", "ecr:ListTagsForResource"),
    "aws:eks/accessEntry:AccessEntry": ("eks:DescribeAccessEntry",),
    "aws:eks/accessPolicyAssociation:AccessPolicyAssociation": ("eks:ListAssociatedAccessPolicies",),
    "aws:eks/addon:Addon": ("eks:DescribeAddon", "eks:DescribePodIdentityAssociation"),
    "aws:eks/cluster:Cluster": ("eks:DescribeCluster",),
    "aws:eks/podIdentityAssociation:PodIdentityAssociation": ("eks:DescribePodIdentityAssociation",),
    "aws:elasticache/parameterGroup:ParameterGroup": ("elasticache:DescribeCacheParameterGroups", "elasticache:DescribeCacheParameters", "elasticache:ListTagsForResource"),
    "aws:elasticache/replicationGroup:ReplicationGroup": ("elasticache:DescribeReplicationGroups", "elasticache:DescribeCacheClusters", "elasticache:ListTagsForResource"),
    "aws:elasticache/subnetGroup:SubnetGroup": ("elasticache:DescribeCacheSubnetGroups", "elasticache:ListTagsForResource"),
    "aws:iam/openIdConnectProvider:OpenIdConnectProvider": ("iam:GetOpenIDConnectProvider",),
    "aws:iam/policy:Policy": ("iam:GetPolicy", "iam:GetPolicyVersion"),
    "aws:iam/role:Role": ("iam:GetRole", "iam:ListRolePolicies", "iam:ListAttachedRolePolicies"),
    "aws:iam/rolePolicy:RolePolicy": ("iam:GetRolePolicy",),
    "aws:iam/rolePolicyAttachment:RolePolicyAttachment": ("iam:ListAttachedRolePolicies",),
    "aws:kms/alias:Alias": ("kms:ListAliases",),
    "aws:kms/key:Key": ("kms:DescribeKey", "kms:GetKeyPolicy", "kms:GetKeyRotationStatus", "kms:ListResourceTags"),
    "aws:lambda/function:Function": ("lambda:GetFunction", "lambda:ListVersionsByFunction", "lambda:GetFunctionCodeSigningConfig", "lambda:ListTags"),
    "aws:lambda/permission:Permission": ("lambda:GetPolicy",),
    "aws:lb/listener:Listener": ("elasticloadbalancing:DescribeListeners", "elasticloadbalancing:DescribeListenerAttributes", "elasticloadbalancing:DescribeTags"),
    "aws:lb/listenerRule:ListenerRule": ("elasticloadbalancing:DescribeRules", "elasticloadbalancing:DescribeTags"),
    "aws:lb/loadBalancer:LoadBalancer": ("elasticloadbalancing:DescribeLoadBalancers", "elasticloadbalancing:DescribeLoadBalancerAttributes", "elasticloadbalancing:DescribeTags"),
    "aws:lb/targetGroup:TargetGroup": ("elasticloadbalancing:DescribeTargetGroups", "elasticloadbalancing:DescribeTargetGroupAttributes", "elasticloadbalancing:DescribeTags"),
    "aws:rds/instance:Instance": ("rds:DescribeDBInstances", "rds:ListTagsForResource"),
    "aws:rds/parameterGroup:ParameterGroup": ("rds:DescribeDBParameterGroups", "rds:DescribeDBParameters", "rds:ListTagsForResource"),
    "aws:rds/subnetGroup:SubnetGroup": ("rds:DescribeDBSubnetGroups", "rds:ListTagsForResource"),
    "aws:route53/record:Record": ("route53:GetHostedZone", "route53:ListResourceRecordSets"),
    "aws:s3/bucket:Bucket": ("s3:ListBucket", "s3:GetBucketPolicy", "s3:GetBucketAcl", "s3:GetBucketCORS", "s3:GetBucketWebsite", "s3:GetBucketVersioning", "s3:GetBucketLogging", "s3:GetBucketTagging", "s3:GetBucketRequestPayment", "s3:GetBucketObjectLockConfiguration", "s3:GetAccelerateConfiguration", "s3:GetEncryptionConfiguration", "s3:GetLifecycleConfiguration", "s3:GetReplicationConfiguration"),
    "aws:s3/bucketLifecycleConfiguration:BucketLifecycleConfiguration": ("s3:GetLifecycleConfiguration",),
    "aws:s3/bucketOwnershipControls:BucketOwnershipControls": ("s3:GetBucketOwnershipControls",),
    "aws:s3/bucketPolicy:BucketPolicy": ("s3:GetBucketPolicy",),
    "aws:s3/bucketPublicAccessBlock:BucketPublicAccessBlock": ("s3:GetBucketPublicAccessBlock",),
    "aws:s3/bucketServerSideEncryptionConfiguration:BucketServerSideEncryptionConfiguration": ("s3:GetEncryptionConfiguration",),
    "aws:s3/bucketVersioning:BucketVersioning": ("s3:GetBucketVersioning",),
    "aws:secretsmanager/secret:Secret": ("secretsmanager:DescribeSecret", "secretsmanager:GetResourcePolicy"),
    "aws:secretsmanager/secretRotation:SecretRotation": ("secretsmanager:DescribeSecret",),
    "aws:sns/topic:Topic": ("sns:GetTopicAttributes", "sns:ListTagsForResource"),
    "aws:sns/topicPolicy:TopicPolicy": ("sns:GetTopicAttributes",),
    "aws:sns/topicSubscription:TopicSubscription": ("sns:GetSubscriptionAttributes",),
    "aws:vpc/securityGroupEgressRule:SecurityGroupEgressRule": ("ec2:DescribeSecurityGroupRules",),
    "aws:vpc/securityGroupIngressRule:SecurityGroupIngressRule": ("ec2:DescribeSecurityGroupRules",),
    "aws:wafv2/webAcl:WebAcl": ("wafv2:GetWebACL", "wafv2:ListTagsForResource"),
    "aws:wafv2/webAclAssociation:WebAclAssociation": ("wafv2:GetWebACLForResource",),
    "aws:wafv2/webAclLoggingConfiguration:WebAclLoggingConfiguration": ("wafv2:GetLoggingConfiguration",),
}  # fmt: skip
