"""The policy pack's rules as tables: what each refuses, and what it lets pass."""

from __future__ import annotations

import copy
import json
from typing import Any

import pytest

from infra.policy.resource import UNKNOWN, Resource
from infra.policy.rules import RULES
from infra.policy.stateful import PROTECTED
from tests.unit.infra.conftest import STACKS, Program, Stack, evaluate

DIGEST = f"@sha256:{'a' * 64}"
GOOD_CONTAINER: dict[str, Any] = {
    "name": "app",
    "image": f"123456789012.dkr.ecr.eu-central-1.amazonaws.com/teal-prod{DIGEST}",
    "ports": [{"name": "http", "containerPort": 8080}],
    "resources": {"requests": {"cpu": "1", "memory": "1Gi"}, "limits": {"cpu": "2", "memory": "1Gi"}},
    "livenessProbe": {"httpGet": {"path": "/healthz", "port": "http"}},
    "readinessProbe": {"httpGet": {"path": "/readyz", "port": "http"}},
    "securityContext": {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "runAsNonRoot": True,
        "capabilities": {"drop": ["ALL"]},
        "seccompProfile": {"type": "RuntimeDefault"},
    },
}
LISTENER = {"protocol": "HTTPS", "sslPolicy": "ELBSecurityPolicy-TLS13-1-2-Res-2021-06"}
RULE = {"fromPort": 443, "toPort": 443, "cidrIpv4": "0.0.0.0/0", "ipProtocol": "tcp"}
HPA = "kubernetes:autoscaling/v2:HorizontalPodAutoscaler"
PDB = "kubernetes:policy/v1:PodDisruptionBudget"
INGRESS = "aws:vpc/securityGroupIngressRule:SecurityGroupIngressRule"
BLOCK = dict.fromkeys(("blockPublicAcls", "blockPublicPolicy", "ignorePublicAcls", "restrictPublicBuckets"), True)


def violations(rule: str, kind: str, inputs: dict[str, Any], *, protect: bool = True) -> list[str]:
    (found,) = [each for each in RULES if each.name == rule]
    return list(found.check(Resource(kind, "it", inputs, protect)))


def deployment(change: dict[str, Any] | None = None, *, drop: tuple[str, ...] = (), **spec: Any) -> dict[str, Any]:
    container = {**copy.deepcopy(GOOD_CONTAINER), **(change or {})}
    for key in drop:
        del container[key]
    inside = {"containers": [container], **spec}
    return {"metadata": {"namespace": "teal-blue"}, "spec": {"template": {"spec": inside}}}


def schedule(expire_after: str = "14d", cron: str = "0 0 */6 * * ?") -> dict[str, Any]:
    body = {"schedule": cron, "repository": "teal", "retention": {"expire_after": expire_after, "min_count": 5}}
    return {"data": {"03.json": json.dumps(body), "run.sh": "exit 0"}}


PLAN = "aws:backup/plan:Plan"
RESTORE = "aws:backup/restoreTestingSelection:RestoreTestingSelection"
CONFIG_MAP = "kubernetes:core/v1:ConfigMap"
BACKUPS = [
    (PLAN, {"rules": [{"ruleName": "daily", "lifecycle": {"deleteAfter": 3}}]}),
    (PLAN, {"rules": [{"lifecycle": {"deleteAfter": 35}, "copyActions": [{"lifecycle": {"deleteAfter": 3}}]}]}),
    (CONFIG_MAP, schedule(expire_after="6d")),
    (CONFIG_MAP, schedule(expire_after="12h")),
    (CONFIG_MAP, schedule(cron="0 0 3 ? * SUN")),
    (CONFIG_MAP, schedule(cron="0 0 3 1 * ?")),
]


@pytest.mark.parametrize(("kind", "inputs"), BACKUPS)
def test_copies_that_are_rare_or_short_lived_are_refused(kind: str, inputs: dict[str, Any]) -> None:
    assert violations("backups", kind, inputs)


@pytest.mark.parametrize(("kind", "inputs"), [(CONFIG_MAP, schedule()), (CONFIG_MAP, schedule("7d", "0 30 1 * * ?")),
                                              (PLAN, {"rules": [{"lifecycle": {"deleteAfter": 35}}]}), (CONFIG_MAP, {"data": {"a": "b"}})])  # fmt: skip
def test_daily_copies_kept_for_a_week_pass(kind: str, inputs: dict[str, Any]) -> None:
    assert violations("backups", kind, inputs) == []


EXPOSURE = [
    (INGRESS, {**RULE, "fromPort": 22, "toPort": 22}),
    (INGRESS, {**RULE, "fromPort": 0, "toPort": 65_535}),
    (INGRESS, {"cidrIpv6": "::/0", "fromPort": 9_200, "toPort": 9_200}),
    ("aws:ec2/securityGroup:SecurityGroup", {"ingress": [{"cidrBlocks": ["0.0.0.0/0"], "fromPort": 5_432, "toPort": 5_432}]}),
    ("aws:ec2/securityGroupRule:SecurityGroupRule", {"type": "ingress", "ipv6CidrBlocks": ["::/0"], "fromPort": 0, "toPort": 0}),
    ("aws:rds/instance:Instance", {"publiclyAccessible": True}),
    (RESTORE, {"protectedResourceType": "RDS", "restoreMetadataOverrides": {"publiclyAccessible": "true"}}),
    (RESTORE, {"protectedResourceType": "RDS"}),
    ("aws:s3/bucketPublicAccessBlock:BucketPublicAccessBlock", {**BLOCK, "blockPublicPolicy": False}),
    ("aws:s3/bucketAcl:BucketAcl", {"acl": "public-read"}),
    ("aws:lb/listener:Listener", {"protocol": "HTTP", "defaultActions": [{"type": "forward"}]}),
    ("kubernetes:core/v1:Service", {"spec": {"type": "LoadBalancer"}}),
    ("kubernetes:core/v1:Service", {"spec": {"type": "NodePort"}}),
]
NOT_EXPOSED = [
    (INGRESS, RULE),
    (INGRESS, {**RULE, "cidrIpv4": "10.0.0.0/8", "fromPort": 0, "toPort": 65_535}),
    ("aws:rds/instance:Instance", {"publiclyAccessible": False}),
    (RESTORE, {"protectedResourceType": "RDS", "restoreMetadataOverrides": {"publiclyAccessible": "false"}}),
    ("aws:s3/bucketPublicAccessBlock:BucketPublicAccessBlock", BLOCK),
    ("aws:lb/listener:Listener", {"protocol": "HTTP", "defaultActions": [{"type": "redirect"}]}),
    ("kubernetes:core/v1:Service", {"spec": {"type": "ClusterIP"}}),
]
SSE = "aws:s3/bucketServerSideEncryptionConfiguration:BucketServerSideEncryptionConfiguration"
BUCKET_POLICY = "aws:s3/bucketPolicy:BucketPolicy"
TLS_ONLY = {
    "Effect": "Deny",
    "Principal": "*",
    "Action": "s3:*",
    "Resource": ["arn:aws:s3:::b", "arn:aws:s3:::b/*"],
    "Condition": {"Bool": {"aws:SecureTransport": "false"}},
}
PLAIN = [
    ("aws:rds/instance:Instance", {}),
    ("aws:elasticache/replicationGroup:ReplicationGroup", {"atRestEncryptionEnabled": True}),
    ("aws:elasticache/replicationGroup:ReplicationGroup", {"transitEncryptionEnabled": True}),
    ("aws:sns/topic:Topic", {}),
    ("aws:ecr/repository:Repository", {}),
    ("aws:cloudwatch/logGroup:LogGroup", {"retentionInDays": 7}),
    ("aws:cloudwatch/logGroup:LogGroup", {"kmsKeyId": "arn"}),
    ("aws:secretsmanager/secret:Secret", {}),
    ("aws:backup/vault:Vault", {}),
    ("aws:eks/cluster:Cluster", {}),
    ("aws:kms/key:Key", {"enableKeyRotation": False}),
    ("aws:lb/listener:Listener", {"protocol": "HTTPS", "sslPolicy": "ELBSecurityPolicy-2016-08"}),
    ("aws:lb/listener:Listener", {"protocol": "HTTPS"}),
    ("kubernetes:storage.k8s.io/v1:StorageClass", {"parameters": {"type": "gp3"}}),
]
PLAIN += [
    (SSE, {"rules": []}),
    (SSE, {"rules": [{"applyServerSideEncryptionByDefault": {}}]}),
    (BUCKET_POLICY, {"policy": json.dumps({"Statement": []})}),
    (BUCKET_POLICY, {"policy": json.dumps({"Statement": [{**TLS_ONLY, "Effect": "Allow"}]})}),
    (BUCKET_POLICY, {"policy": json.dumps({"Statement": [{**TLS_ONLY, "Action": "s3:GetObject"}]})}),
]
ENCRYPTED = [
    (SSE, {"rules": [{"applyServerSideEncryptionByDefault": {"sseAlgorithm": "aws:kms"}}]}),
    (BUCKET_POLICY, {"policy": json.dumps({"Statement": [TLS_ONLY]})}),
    (BUCKET_POLICY, {"policy": UNKNOWN}),
    ("aws:rds/instance:Instance", {"storageEncrypted": True}),
    ("aws:elasticache/replicationGroup:ReplicationGroup", {"atRestEncryptionEnabled": "true", "transitEncryptionEnabled": True}),
    ("aws:cloudwatch/logGroup:LogGroup", {"kmsKeyId": "arn", "retentionInDays": 7}),
    ("aws:lb/listener:Listener", LISTENER),
    ("kubernetes:storage.k8s.io/v1:StorageClass", {"parameters": {"type": "gp3", "encrypted": "true"}}),
]


@pytest.mark.parametrize(("kind", "inputs"), EXPOSURE)
def test_what_opens_the_platform_is_refused(kind: str, inputs: dict[str, Any]) -> None:
    assert violations("exposure", kind, inputs)


@pytest.mark.parametrize(("kind", "inputs"), NOT_EXPOSED)
def test_what_stays_closed_passes(kind: str, inputs: dict[str, Any]) -> None:
    assert violations("exposure", kind, inputs) == []


@pytest.mark.parametrize(("kind", "inputs"), PLAIN)
def test_what_is_not_encrypted_is_refused(kind: str, inputs: dict[str, Any]) -> None:
    assert violations("encryption", kind, inputs)


@pytest.mark.parametrize(("kind", "inputs"), ENCRYPTED)
def test_what_is_encrypted_passes(kind: str, inputs: dict[str, Any]) -> None:
    assert violations("encryption", kind, inputs) == []


@pytest.mark.parametrize("kind", sorted(PROTECTED))
def test_a_stateful_type_has_to_be_protected(kind: str) -> None:
    inputs = {"backupRetentionPeriod": 7}
    assert violations("protection", kind, inputs, protect=False)
    assert violations("protection", kind, inputs, protect=True) == []


@pytest.mark.parametrize(
    ("kind", "inputs"),
    [
        ("aws:s3/bucket:Bucket", {"forceDestroy": True}),
        ("aws:ecr/repository:Repository", {"forceDelete": True}),
        ("aws:rds/instance:Instance", {"skipFinalSnapshot": True, "backupRetentionPeriod": 7}),
        ("aws:rds/instance:Instance", {"backupRetentionPeriod": 0}),
        ("aws:lb/loadBalancer:LoadBalancer", {}),
        ("aws:eks/cluster:Cluster", {"deletionProtection": False}),
        ("aws:backup/vaultLockConfiguration:VaultLockConfiguration", {"backupVaultName": "v"}),
        ("aws:backup/vaultLockConfiguration:VaultLockConfiguration", {"minRetentionDays": 35, "changeableForDays": 3}),
    ],
)
def test_a_switch_that_lets_data_go_is_refused(kind: str, inputs: dict[str, Any]) -> None:
    assert violations("protection", kind, inputs)


@pytest.mark.parametrize(
    ("policy", "refused"),
    [
        ('{"Statement": [{"Effect": "Allow", "Action": "*", "Resource": "*"}]}', True),
        ('{"Statement": [{"Effect": "Allow", "Action": "s3:*", "Resource": "*"}]}', True),
        ('{"Statement": {"Effect": "Allow", "Principal": {"AWS": "*"}, "Action": "sts:AssumeRole"}}', True),
        ('{"Statement": [{"Effect": "Allow", "Action": "s3:GetObject", "Resource": "arn:aws:s3:::b/*"}]}', False),
        ('{"Statement": [{"Effect": "Deny", "Action": "*", "Resource": "*"}]}', False),
    ],
)
def test_a_policy_that_allows_everything_is_refused(policy: str, refused: bool) -> None:
    assert bool(violations("least-privilege", "aws:iam/rolePolicy:RolePolicy", {"policy": policy})) is refused


@pytest.mark.parametrize(
    ("image", "refused"),
    [
        (f"123456789012.dkr.ecr.eu-central-1.amazonaws.com/teal{DIGEST}", False),
        ("123456789012.dkr.ecr.eu-central-1.amazonaws.com/teal:1.2.3", True),
        ("teal:latest", True),
        ("teal", True),
    ],
)
def test_the_service_s_image_has_a_digest(image: str, refused: bool) -> None:
    assert bool(violations("image-by-digest", "kubernetes:apps/v1:Deployment", deployment({"image": image}))) is refused


@pytest.mark.parametrize(("image", "refused"), [("maker/tool:v1.9.0", False), ("maker/tool:latest", True), ("maker/tool", True)])
def test_another_maker_s_image_has_at_least_a_version(image: str, refused: bool) -> None:
    inputs = deployment({"image": image})
    inputs["metadata"]["namespace"] = "search"
    assert bool(violations("image-by-digest", "kubernetes:apps/v1:Deployment", inputs)) is refused


@pytest.mark.parametrize(
    "resources",
    [
        {},
        {"requests": {"cpu": "1"}, "limits": {"cpu": "1", "memory": "1Gi"}},
        {"requests": {"memory": "1Gi"}, "limits": {"cpu": "1", "memory": "1Gi"}},
        {"requests": {"cpu": "1", "memory": "1Gi"}, "limits": {"cpu": "1"}},
        {"requests": {"cpu": "1", "memory": "1Gi"}, "limits": {"memory": "1Gi"}},
    ],
)
def test_a_container_without_requests_or_limits_is_refused(resources: dict[str, Any]) -> None:
    assert violations("limits", "kubernetes:apps/v1:Deployment", deployment({"resources": resources}))


@pytest.mark.parametrize("probe", ["livenessProbe", "readinessProbe"])
def test_a_container_that_serves_without_a_probe_is_refused(probe: str) -> None:
    assert violations("probes", "kubernetes:apps/v1:Deployment", deployment(drop=(probe,)))


@pytest.mark.parametrize(
    "changed",
    [
        {"privileged": True},
        {"allowPrivilegeEscalation": True},
        {"readOnlyRootFilesystem": False},
        {"runAsNonRoot": False},
        {"capabilities": {"drop": []}},
        {"seccompProfile": None},
    ],
)
def test_a_pod_with_more_rights_is_refused(changed: dict[str, Any]) -> None:
    context = {**GOOD_CONTAINER["securityContext"], **changed}
    assert violations("restricted-pods", "kubernetes:apps/v1:Deployment", deployment({"securityContext": context}))


@pytest.mark.parametrize("spec", [{"hostNetwork": True}, {"hostPID": True}, {"volumes": [{"hostPath": {"path": "/"}}]}])
def test_a_pod_that_reaches_into_its_node_is_refused(spec: dict[str, Any]) -> None:
    assert violations("restricted-pods", "kubernetes:apps/v1:Deployment", deployment(**spec))


@pytest.mark.parametrize("rule", ["image-by-digest", "limits", "probes", "restricted-pods", "replicas"])
@pytest.mark.parametrize("kind", ["kubernetes:apps/v1:Deployment", "kubernetes:apps/v1:StatefulSet"])
def test_a_good_workload_passes_every_rule(rule: str, kind: str) -> None:
    assert violations(rule, kind, deployment()) == []


def test_the_pods_of_a_cron_job_are_looked_into() -> None:
    inside = deployment({"image": "teal:latest"})
    inputs = {"metadata": inside["metadata"], "spec": {"jobTemplate": {"spec": inside["spec"]}}}
    assert violations("image-by-digest", "kubernetes:batch/v1:CronJob", inputs)


@pytest.mark.parametrize(
    ("kind", "inputs", "refused"),
    [
        ("kubernetes:apps/v1:Deployment", {"metadata": {"namespace": "teal-blue"}, "spec": {"replicas": 3}}, True),
        (HPA, {"spec": {}}, True),
        (HPA, {"spec": {"minReplicas": 2}}, False),
        (PDB, {"spec": {"maxUnavailable": 0}}, True),
        (PDB, {"spec": {"maxUnavailable": 1}}, False),
        ("aws:elasticache/replicationGroup:ReplicationGroup", {"numCacheClusters": 2}, True),
        ("aws:elasticache/replicationGroup:ReplicationGroup", {"numCacheClusters": 1}, False),
        ("kubernetes:elasticsearch.k8s.elastic.co/v1:Elasticsearch", {"spec": {"nodeSets": [{"count": 2}]}}, True),
        ("kubernetes:elasticsearch.k8s.elastic.co/v1:Elasticsearch", {"spec": {"nodeSets": [{"count": 1}] * 3}}, False),
    ],
)
def test_replicas(kind: str, inputs: dict[str, Any], refused: bool) -> None:
    assert bool(violations("replicas", kind, inputs)) is refused


@pytest.mark.parametrize(
    ("stack", "least", "refused"),
    [("dev-blue", 1, False), ("prod-blue", 1, True), ("prod-green", 2, False), ("staging", 0, True)],
)
def test_a_service_in_prod_never_hangs_on_one_pod(stack: str, least: int, refused: bool) -> None:
    (rule,) = [one for one in RULES if one.name == "replicas"]
    assert bool(list(rule.check(Resource(HPA, "it", {"spec": {"minReplicas": least}}, stack=stack)))) is refused


def test_values_that_a_preview_does_not_know_yet_do_not_break_a_rule() -> None:
    for rule in RULES:
        for kind in ("kubernetes:apps/v1:Deployment", "aws:ec2/securityGroup:SecurityGroup", HPA):
            assert list(rule.check(Resource(kind, "it", {"spec": None, "ingress": None}))) is not None


@pytest.mark.parametrize("program", ["platform", "service"])
@pytest.mark.parametrize("stack", STACKS)
def test_both_programs_keep_every_rule(program: Program, stack: Stack) -> None:
    found = [
        f"{rule.name}: {one.type} {one.name}: {violation}"
        for one in evaluate(program, stack).resources
        for rule in RULES
        for violation in rule.check(Resource(one.type, one.name, one.inputs, one.protect, stack))
    ]
    assert found == []
