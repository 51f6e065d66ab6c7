"""The rules as pure functions: a resource in, sentences about what is wrong with it out. Inputs have the provider's camelCase names."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final, cast

from infra.policy import workloads
from infra.policy.resource import Resource, as_objects, mapping
from infra.policy.stateful import PROTECTED

Check = Callable[[Resource], Iterator[str]]
_WORLD: Final = ("0.0.0.0/0", "::/0")
_WEB_PORTS: Final = (80, 443)
KEPT_DAYS: Final = 7  # a mistake made on a Friday is found within a week


@dataclass(frozen=True)
class Rule:
    """One rule. `promise`: what is true when `check` yields nothing."""

    name: str
    promise: str
    check: Check


def exposure(resource: Resource) -> Iterator[str]:
    """Only the load balancer's two ports are open to the world; nothing else has a public address."""
    inputs = resource.inputs
    match resource.type:
        case "aws:vpc/securityGroupIngressRule:SecurityGroupIngressRule":
            ports = (inputs.get("fromPort"), inputs.get("toPort"))
            world = inputs.get("cidrIpv4") in _WORLD or inputs.get("cidrIpv6") in _WORLD
            if world and (ports[0] != ports[1] or ports[0] not in _WEB_PORTS):
                yield f"ports {ports[0]}-{ports[1]} are open to the world; only 80 and 443 of the load balancer may be"
        case "aws:ec2/securityGroup:SecurityGroup":
            yield from _group_rules(as_objects(inputs.get("ingress")))
        case "aws:ec2/securityGroupRule:SecurityGroupRule" if inputs.get("type") == "ingress":
            yield from _group_rules([inputs])
        case "aws:rds/instance:Instance" if inputs.get("publiclyAccessible"):
            yield "the database has a public address; set publicly_accessible to False"
        case "aws:backup/restoreTestingSelection:RestoreTestingSelection":
            restored = mapping(inputs.get("restoreMetadataOverrides"))
            if inputs.get("protectedResourceType") == "RDS" and str(restored.get("publiclyAccessible")).lower() != "false":
                yield "a database restored for a test may get a public address; override publiclyAccessible with false"
        case "aws:s3/bucketPublicAccessBlock:BucketPublicAccessBlock":
            for switch in ("blockPublicAcls", "blockPublicPolicy", "ignorePublicAcls", "restrictPublicBuckets"):
                if inputs.get(switch) is not True:
                    yield f"{switch} is not on: the bucket can become public"
        case "aws:s3/bucketAcl:BucketAcl" if str(inputs.get("acl", "")).startswith("public"):
            yield "the bucket's ACL is public"
        case "aws:lb/listener:Listener" if str(inputs.get("protocol")) == "HTTP":
            actions = as_objects(inputs.get("defaultActions"))
            if any(action.get("type") != "redirect" for action in actions):
                yield "the plain listener does more than redirect to HTTPS"
        case "kubernetes:core/v1:Service" if mapping(inputs.get("spec")).get("type") in {"LoadBalancer", "NodePort"}:
            yield "a Service opens the cluster by itself; only the platform's load balancer may (type ClusterIP)"
        case _:
            return


def encryption(resource: Resource) -> Iterator[str]:
    """Everything at rest is encrypted, everything in flight is TLS 1.2 or later."""
    inputs = resource.inputs
    match resource.type:
        case "aws:s3/bucketServerSideEncryptionConfiguration:BucketServerSideEncryptionConfiguration":
            defaults = [mapping(one.get("applyServerSideEncryptionByDefault")) for one in as_objects(inputs.get("rules"))]
            if not defaults or not all(one.get("sseAlgorithm") for one in defaults):
                yield "the bucket's default names no encryption"
        case "aws:s3/bucketPolicy:BucketPolicy":
            document = inputs.get("policy")
            if isinstance(document, str) and document.startswith("{") and not _tls_only(json.loads(document)):
                yield "the bucket answers without TLS; deny s3:* when aws:SecureTransport is false"
        case "aws:rds/instance:Instance" if not inputs.get("storageEncrypted") and not inputs.get("snapshotIdentifier"):
            yield "storage_encrypted is not on"
        case "aws:elasticache/replicationGroup:ReplicationGroup":
            for switch in ("atRestEncryptionEnabled", "transitEncryptionEnabled"):
                if str(inputs.get(switch)).lower() != "true":
                    yield f"{switch} is not on"
        case "aws:sns/topic:Topic" if not inputs.get("kmsMasterKeyId"):
            yield "the topic has no key"
        case "aws:ecr/repository:Repository" if not as_objects(inputs.get("encryptionConfigurations")):
            yield "the repository has no encryption of its own"
        case "aws:cloudwatch/logGroup:LogGroup":
            if not inputs.get("kmsKeyId"):
                yield "the log group has no key"
            if not inputs.get("retentionInDays"):
                yield "the log group keeps its lines for ever; set retention_in_days"
        case "aws:secretsmanager/secret:Secret" if not inputs.get("kmsKeyId"):
            yield "the secret has no key of its own"
        case "aws:backup/vault:Vault" if not inputs.get("kmsKeyArn"):
            yield "the vault has no key"
        case "aws:eks/cluster:Cluster" if not inputs.get("encryptionConfig"):
            yield "Kubernetes secrets are not encrypted with a key of ours"
        case "aws:kms/key:Key" if not inputs.get("enableKeyRotation"):
            yield "the key is never renewed; set enable_key_rotation"
        case "aws:lb/listener:Listener" if inputs.get("protocol") == "HTTPS":
            policy = str(inputs.get("sslPolicy", ""))
            if not re.match(r"ELBSecurityPolicy-TLS13-1-[23]-", policy):
                yield f"TLS policy {policy or '(none)'} is not one of TLS 1.2 and 1.3 alone"
        case "kubernetes:storage.k8s.io/v1:StorageClass" if str(mapping(inputs.get("parameters")).get("encrypted")) != "true":
            yield "volumes of this class are not encrypted"
        case _:
            return


def protection(resource: Resource) -> Iterator[str]:
    """What cannot be made again is protected, and AWS's own switches against deletion are on."""
    if resource.type in PROTECTED and not resource.protect:
        yield f"it is not protected, and would take with it {PROTECTED[resource.type]}; set protect=True"
    inputs = resource.inputs
    if resource.type in {"aws:s3/bucket:Bucket"} and inputs.get("forceDestroy"):
        yield "force_destroy empties the bucket with it"
    if resource.type == "aws:ecr/repository:Repository" and inputs.get("forceDelete"):
        yield "force_delete removes the images with it"
    if resource.type == "aws:lb/loadBalancer:LoadBalancer" and not inputs.get("enableDeletionProtection"):
        yield "the load balancer can be deleted by one call; set enable_deletion_protection"
    if resource.type == "aws:eks/cluster:Cluster" and not inputs.get("deletionProtection"):
        yield "the cluster can be deleted by one call; set deletion_protection"
    if resource.type == "aws:backup/vaultLockConfiguration:VaultLockConfiguration":
        if inputs.get("changeableForDays"):
            yield "the lock could never be taken off again, not even by AWS; leave changeable_for_days out"
        least = inputs.get("minRetentionDays") or 0
        if isinstance(least, int | float) and least < KEPT_DAYS:
            yield f"recovery points may be deleted at once; set min_retention_days to {KEPT_DAYS} or more"
    if resource.type == "aws:rds/instance:Instance":
        if inputs.get("skipFinalSnapshot"):
            yield "the database goes without a last snapshot"
        if not inputs.get("backupRetentionPeriod"):
            yield "there is no point-in-time recovery; set backup_retention_period"


def backups(resource: Resource) -> Iterator[str]:
    """Copies are made at least daily and kept for a week at least: a mistake is often found days later."""
    inputs = resource.inputs
    match resource.type:
        case "aws:backup/plan:Plan":
            for rule in as_objects(inputs.get("rules")):
                for kept in (rule, *as_objects(rule.get("copyActions"))):
                    days = mapping(kept.get("lifecycle")).get("deleteAfter")
                    if isinstance(days, int | float) and days < KEPT_DAYS:
                        yield f"{rule.get('ruleName')} keeps recovery points for {days:g} days; {KEPT_DAYS} or more"
        case "kubernetes:core/v1:ConfigMap":
            for body in mapping(inputs.get("data")).values():
                if isinstance(body, str) and "expire_after" in body:
                    yield from _snapshot_policy(json.loads(body))
        case _:
            return


def _snapshot_policy(body: Mapping[str, Any]) -> Iterator[str]:
    """Elasticsearch's SLM: seconds, minutes, hours, day of month, month, day of week."""
    days = re.fullmatch(r"(\d+)d", str(mapping(body.get("retention")).get("expire_after")))
    if days is None or int(days[1]) < KEPT_DAYS:
        yield f"search's snapshots are kept for {mapping(body.get('retention')).get('expire_after')}; {KEPT_DAYS}d or more"
    fields = str(body.get("schedule")).split()
    if len(fields) < 6 or any(field not in ("*", "?") for field in fields[3:6]):
        yield f"search's snapshots are not taken every day: {body.get('schedule')}"


def least_privilege(resource: Resource) -> Iterator[str]:
    """No policy allows everything, and no trust is open to everybody."""
    for key in ("policy", "assumeRolePolicy"):
        document = resource.inputs.get(key)
        if resource.type.startswith("aws:iam/") and isinstance(document, str) and document.startswith("{"):
            parsed: Mapping[str, Any] = json.loads(document)
            for statement in as_objects(parsed.get("Statement")):
                yield from _statement(statement)


def _statement(statement: Mapping[str, Any]) -> Iterator[str]:
    if statement.get("Effect") != "Allow":
        return
    actions = [str(action) for action in _strings(statement.get("Action"))]
    if "*" in actions:
        yield "a statement allows every action"
    if "*" in _strings(statement.get("Resource")) and any(action.endswith(":*") for action in actions):
        yield f"a statement allows {', '.join(actions)} on every resource"
    if statement.get("Principal") in ("*", {"AWS": "*"}) and not statement.get("Condition"):
        yield "anybody may take the role"


def _tls_only(document: Mapping[str, Any]) -> bool:
    """Whether a bucket's policy denies every request of every caller without TLS."""
    return any(
        statement.get("Effect") == "Deny"
        and statement.get("Principal") in ("*", {"AWS": "*"})
        and statement.get("Action") == "s3:*"
        and mapping(mapping(statement.get("Condition")).get("Bool")).get("aws:SecureTransport") in ("false", False)
        for statement in as_objects(document.get("Statement"))
    )


def _strings(value: object) -> list[str]:
    return [value] if isinstance(value, str) else [str(each) for each in cast(list[Any], value or [])]


def _group_rules(rules: list[Mapping[str, Any]]) -> Iterator[str]:
    for rule in rules:
        cidrs = [*_strings(rule.get("cidrBlocks")), *_strings(rule.get("ipv6CidrBlocks"))]
        single = rule.get("fromPort") == rule.get("toPort") and rule.get("fromPort") in _WEB_PORTS
        if any(cidr in _WORLD for cidr in cidrs) and not single:
            yield f"ports {rule.get('fromPort')}-{rule.get('toPort')} are open to the world; only 80 and 443 may be"


RULES: Final[tuple[Rule, ...]] = (
    Rule("exposure", "Only the load balancer is open to the world.", exposure),
    Rule("encryption", "Everything is encrypted, at rest and in flight.", encryption),
    Rule("protection", "What cannot be made again cannot be removed by mistake.", protection),
    Rule("backups", "Copies are made every day and kept for a week.", backups),
    Rule("least-privilege", "No policy allows everything.", least_privilege),
    Rule("image-by-digest", "The service's image is named by digest; others by a version.", workloads.images),
    Rule("limits", "Every container says what it needs and what it may take.", workloads.check_limits),
    Rule("probes", "Every long-running container of ours says whether it lives.", workloads.probes),
    Rule(
        "restricted-pods",
        "No pod runs as root, with rights it does not need, or with the node's own namespaces.",
        workloads.restricted,
    ),
    Rule("replicas", "What users reach does not hang on one pod or one zone.", workloads.check_replicas),
)
