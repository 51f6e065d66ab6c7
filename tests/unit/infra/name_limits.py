"""How long a name may be and of which characters, by the type of the resource: what neither types nor botocore's models show."""

from __future__ import annotations

# Real limits of names, which no type and no model shows. Source: each service's "quotas" or "naming" page.
NAME_LIMITS = {
    "aws:lb/targetGroup:TargetGroup": ("name", 32, r"[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?"),
    "aws:lb/loadBalancer:LoadBalancer": ("name", 32, r"[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?"),
    "aws:iam/role:Role": ("name", 64, r"[\w+=,.@-]+"),
    "aws:rds/instance:Instance": ("identifier", 63, r"[a-z](?:-?[a-z0-9])*"),
    "aws:elasticache/replicationGroup:ReplicationGroup": ("replicationGroupId", 40, r"[a-z](?:-?[a-z0-9])*"),
    "aws:s3/bucket:Bucket": ("bucket", 63, r"[a-z0-9][a-z0-9-]+[a-z0-9]"),
    "aws:eks/cluster:Cluster": ("name", 100, r"[0-9A-Za-z][A-Za-z0-9_-]*"),
    "aws:wafv2/webAcl:WebAcl": ("name", 128, r"[\w-]+"),
    "aws:ecr/repository:Repository": ("name", 256, r"[a-z0-9]+(?:[._/-][a-z0-9]+)*"),
    "aws:scheduler/schedule:Schedule": ("name", 64, r"[\w.-]+"),
    "aws:backup/restoreTestingPlan:RestoreTestingPlan": ("name", 50, r"\w+"),
    "aws:sns/topic:Topic": ("name", 256, r"[\w-]+"),
    "aws:cloudwatch/logGroup:LogGroup": ("name", 512, r"[\w./#-]+"),
}
