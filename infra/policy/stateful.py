"""The types of resources that cannot be made again, and what is lost with each.
The policy pack and the guard share this table."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

# Types of the program that must have `protect`; losing one loses data, credentials, or the address users know.
PROTECTED: Final[Mapping[str, str]] = {
    "aws:s3/bucket:Bucket": "what is in the bucket: snapshots, releases, logs",
    "aws:rds/instance:Instance": "the system of record since its last backup",
    "aws:elasticache/replicationGroup:ReplicationGroup": "the cache; every answer is slow until it is warm",
    "aws:kms/key:Key": "everything encrypted with it, backups included",
    "aws:ecr/repository:Repository": "the images that rollback needs",
    "aws:backup/vault:Vault": "the recovery points in it",
    "aws:amp/workspace:Workspace": "the history of metrics",
    "aws:secretsmanager/secret:Secret": "the credentials in it",  # pragma: allowlist secret
    "aws:lb/listenerRule:ListenerRule": "the weights: which color users get",
    "kubernetes:elasticsearch.k8s.elastic.co/v1:Elasticsearch": "the search index; it is rebuilt from snapshot or catalog",
}

# These are not protected themselves, but removing one of them also removes others or stops the service.
CARRIERS: Final[Mapping[str, str]] = {
    "aws:eks/cluster:Cluster": "everything that runs, and the disks of the search index",
    "aws:lb/loadBalancer:LoadBalancer": "the address behind the domain, for as long as DNS is cached",
    "aws:lb/targetGroup:TargetGroup": "a color's way to its users",
    "aws:ec2/vpc:Vpc": "the network under everything",
    "kubernetes:core/v1:PersistentVolumeClaim": "the disk and what is on it",
    "kubernetes:core/v1:PersistentVolume": "the disk and what is on it",
    "kubernetes:core/v1:Namespace": "every object in it",
    "kubernetes:apiextensions.k8s.io/v1:CustomResourceDefinition": "every object of that kind in the cluster",
}

STATEFUL: Final[Mapping[str, str]] = {**PROTECTED, **CARRIERS}
