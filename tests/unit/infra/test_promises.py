"""The table of promises, held over both programs and every committed stack. An exception is a row in a table, with its reason."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from typing import Any, cast

import pytest

from infra.delivery.policies import UNLIMITED, UNLIMITED_UP
from infra.evaluation.evaluate import Evaluation, RegisteredResource, stack_values
from infra.observability.alerts import ALERTS
from infra.policy.stateful import PROTECTED
from tests.unit.infra.conftest import STACKS, Program, Stack, evaluate, of_type

PROGRAMS: tuple[Program, ...] = ("platform", "service")
EVERY = [(program, stack) for program in PROGRAMS for stack in STACKS]
EVALUATION_SECONDS = 3.5  # of CPU; 1.4 measured beside other work

# Statements on "*", each with why it cannot name a resource. GitHub's roles have theirs in infra/delivery/policies.py.
EVERYWHERE = {
    "kms:*": "a key's own policy: * is that key",
    "kms:Decrypt": "a key's own policy: * is that key",
    "kms:GenerateDataKey*": "a key's own policy: * is that key",
    "kms:Encrypt*": "a key's own policy: * is that key",
    "kms:Decrypt*": "a key's own policy: * is that key",
    "kms:ReEncrypt*": "a key's own policy: * is that key",
    "kms:Describe*": "a key's own policy: * is that key",
    "cloudwatch:GetMetricData": "AWS Service Authorization Reference, list_amazoncloudwatch: a metric has no ARN; the watchdog reads counts",
    **UNLIMITED,
    **UNLIMITED_UP,
}
KEY_POLICIES = {"aws:kms/key:Key"}

# What is open to the whole internet: routes out, and the two ports of the load balancer's security group.
OPEN = {
    "aws:ec2/route:Route": "a way out, not in",
    "aws:vpc/securityGroupIngressRule:SecurityGroupIngressRule": "the load balancer",
}
WORLD = ("0.0.0.0/0", "::/0")


def policies(result: Evaluation) -> Iterator[tuple[RegisteredResource, dict[str, Any]]]:
    for resource in result.resources:
        for key in ("policy", "inlinePolicy", "accessPolicy"):
            text = resource.inputs.get(key)
            if isinstance(text, str) and '"Statement"' in text:
                statements = json.loads(text)["Statement"]
                for statement in statements if isinstance(statements, list) else [statements]:
                    yield resource, statement


def as_list(value: Any) -> list[str]:
    return [value] if isinstance(value, str) else list(value or [])


def _pods(resource: RegisteredResource) -> Iterator[dict[str, Any]]:
    spec = resource.inputs.get("spec") or {}
    match resource.type.rsplit(":", 1)[-1]:
        case "Deployment" | "StatefulSet" | "Job" | "DaemonSet":
            yield spec["template"]["spec"]
        case "CronJob":
            yield spec["jobTemplate"]["spec"]["template"]["spec"]
        case "Elasticsearch":
            yield from (node_set["podTemplate"]["spec"] for node_set in spec["nodeSets"])
        case "Kibana":
            yield spec["podTemplate"]["spec"]
        case "Pod":
            yield spec


def is_public(stack: Stack) -> bool:
    """Whether the stack's own file opens its listener to everybody; so it is when the file does not say."""
    return bool(cast(dict[str, object], stack_values(stack)["teal:web"]).get("public", True))


@pytest.mark.parametrize("stack", STACKS)
def test_only_the_load_balancer_is_open_to_the_world(stack: Stack) -> None:
    result = evaluate("platform", stack)
    ports: list[int] = []
    for resource in result.resources:
        text = json.dumps(resource.inputs, default=str)  # a function's code is files
        if resource.type.startswith(("aws:ec2", "aws:vpc", "aws:eks", "aws:rds", "aws:elasticache", "aws:lb")) and any(
            f'"{world}"' in text for world in WORLD
        ):
            assert resource.type in OPEN, f"{resource.type} {resource.name} is open to the world"
            if resource.type.startswith("aws:vpc"):
                assert "teal:infra:LoadBalancer" in resource.parent
                ports.append(resource.inputs["toPort"])
    assert sorted(ports) == ([80, 443] if is_public(stack) else [])
    assert all(each.inputs["publiclyAccessible"] is False for each in of_type(result, "aws:rds/instance:Instance"))
    assert [each.inputs["internal"] for each in of_type(result, "aws:lb/loadBalancer:LoadBalancer")] == [False]
    services = [each for each in result.resources if each.type == "kubernetes:core/v1:Service"]
    assert not [each.name for each in services if each.inputs["spec"].get("type") in ("LoadBalancer", "NodePort")]


def test_every_bucket_is_private_encrypted_tls_only_and_kept(platform: Evaluation) -> None:
    buckets = {each.inputs["bucket"] for each in of_type(platform, "aws:s3/bucket:Bucket")}
    assert len(buckets) >= 3  # access logs, releases, search snapshots

    def by_bucket(kind: str) -> dict[str, RegisteredResource]:
        return {each.inputs["bucket"]: each for each in of_type(platform, kind)}

    blocks = by_bucket("aws:s3/bucketPublicAccessBlock:BucketPublicAccessBlock")
    assert blocks.keys() == buckets
    for block in blocks.values():
        assert all(
            block.inputs[key] for key in ("blockPublicAcls", "blockPublicPolicy", "ignorePublicAcls", "restrictPublicBuckets")
        )
    assert by_bucket("aws:s3/bucketServerSideEncryptionConfiguration:BucketServerSideEncryptionConfiguration").keys() == buckets
    assert by_bucket("aws:s3/bucketVersioning:BucketVersioning").keys() == buckets
    policies = by_bucket("aws:s3/bucketPolicy:BucketPolicy")
    assert policies.keys() == buckets
    for policy in policies.values():
        statements = json.loads(policy.inputs["policy"])["Statement"]
        assert any(
            each["Effect"] == "Deny" and each["Condition"] == {"Bool": {"aws:SecureTransport": "false"}} for each in statements
        )
        assert not any(each["Effect"] == "Allow" and each["Principal"] in ("*", {"AWS": "*"}) for each in statements)


@pytest.mark.parametrize(("program", "stack"), EVERY)
def test_every_stateful_resource_is_protected(program: Program, stack: Stack) -> None:
    bare = [
        f"{each.type} {each.name}" for each in evaluate(program, stack).resources if each.type in PROTECTED and not each.protect
    ]
    assert bare == []


def test_the_stores_are_encrypted_with_our_key(platform: Evaluation) -> None:
    for kind, key in (
        ("aws:rds/instance:Instance", "kmsKeyId"),
        ("aws:elasticache/replicationGroup:ReplicationGroup", "kmsKeyId"),
        ("aws:secretsmanager/secret:Secret", "kmsKeyId"),
        ("aws:cloudwatch/logGroup:LogGroup", "kmsKeyId"),
        ("aws:sns/topic:Topic", "kmsMasterKeyId"),
        ("aws:backup/vault:Vault", "kmsKeyArn"),
    ):
        found = of_type(platform, kind)
        assert found, kind
        assert all(":kms:" in each.inputs.get(key, "") for each in found), [
            each.name for each in found if not each.inputs.get(key)
        ]
    assert all(each.inputs["retentionInDays"] > 0 for each in of_type(platform, "aws:cloudwatch/logGroup:LogGroup"))


def test_every_iam_statement_names_its_resources_or_has_a_reason(platform: Evaluation) -> None:
    seen: set[str] = set()
    for resource, statement in policies(platform):
        if statement["Effect"] == "Deny" or resource.name == "boundary":  # which grants nothing: grants end at it
            continue
        resources, actions = as_list(statement.get("Resource")), as_list(statement.get("Action"))
        assert resources, f"{resource.name}: a statement without Resource"
        assert actions, f"{resource.name}: NotAction grants what is not thought of"
        assert "*" not in actions, f"{resource.name}: every action of every service"
        if "*" in resources:
            for action in actions:
                assert action in EVERYWHERE, f"{resource.type} {resource.name}: {action} on * has no reason"
                assert "own policy" not in EVERYWHERE[action] or resource.type in KEY_POLICIES
            seen.update(actions)
    unused = set(EVERYWHERE) - seen
    assert not unused, f"reasons for what nobody grants: {unused}"


def test_no_policy_of_aws_gives_a_role_of_ours_everything(platform: Evaluation) -> None:
    managed = {
        each.inputs["policyArn"].rsplit("/", 1)[-1]
        for each in of_type(platform, "aws:iam/rolePolicyAttachment:RolePolicyAttachment")
    }
    assert not {name for name in managed if name.endswith(("FullAccess", "AdministratorAccess", "PowerUserAccess"))}


@pytest.mark.parametrize(("program", "stack"), EVERY)
def test_every_pod_is_restricted_and_limited(program: Program, stack: Stack) -> None:
    count = 0
    for resource in evaluate(program, stack).resources:
        for pod in _pods(resource):
            count += 1
            where = f"{resource.type} {resource.name}"
            shared = pod.get("securityContext", {})
            for container in [*pod.get("initContainers", []), *pod["containers"]]:
                own = container.get("securityContext", {})
                assert {**shared, **own}.get("runAsNonRoot") is True, f"{where}: may run as root"
                assert {**shared, **own}.get("seccompProfile", {}).get("type") == "RuntimeDefault", f"{where}: any system call"
                assert own.get("allowPrivilegeEscalation") is False, f"{where}: may gain rights"
                assert own.get("capabilities", {}).get("drop") == ["ALL"], f"{where}: keeps capabilities"
                assert not own.get("privileged", False)
                limits = container.get("resources", {}).get("limits", {})
                assert {"cpu", "memory"} <= limits.keys(), f"{where}: {container['name']} has no limits"
            for key in ("hostNetwork", "hostPID", "hostIPC"):
                assert not pod.get(key, False)
            assert not any("hostPath" in volume for volume in pod.get("volumes", []))
    assert count >= 2


def test_prod_spans_three_zones_with_every_store() -> None:
    prod = evaluate("platform", "prod")
    assert len({each.inputs["availabilityZone"] for each in of_type(prod, "aws:ec2/subnet:Subnet")}) == 3
    (cluster,) = of_type(prod, "aws:eks/cluster:Cluster")
    (balancer,) = of_type(prod, "aws:lb/loadBalancer:LoadBalancer")
    assert len(cluster.inputs["vpcConfig"]["subnetIds"]) == len(balancer.inputs["subnets"]) == 3
    (database,) = of_type(prod, "aws:rds/instance:Instance")
    assert database.inputs["multiAz"] is True
    (cache,) = of_type(prod, "aws:elasticache/replicationGroup:ReplicationGroup")
    assert cache.inputs["multiAzEnabled"] is True
    assert cache.inputs["numCacheClusters"] >= 3
    (search,) = [each for each in prod.resources if each.type.endswith(":Elasticsearch")]
    assert sum(node_set["count"] for node_set in search.inputs["spec"]["nodeSets"]) >= 3
    for node_set in search.inputs["spec"]["nodeSets"]:
        assert (
            node_set["zoneAwareness"]["topologyKey"] == "topology.kubernetes.io/zone"
        )  # ECK spreads pods and shard copies by it


def test_every_alert_reaches_the_topic_and_names_its_page(platform: Evaluation) -> None:
    topic = platform.outputs["topic_arn"]
    alarms = of_type(platform, "aws:cloudwatch/metricAlarm:MetricAlarm")
    assert alarms
    for alarm in alarms:
        assert topic in alarm.inputs["alarmActions"], f"{alarm.name} tells nobody"
        assert "runbooks/" in alarm.inputs["alarmDescription"], f"{alarm.name} names no page"
    (manager,) = of_type(platform, "aws:amp/alertManagerDefinition:AlertManagerDefinition")
    assert topic in manager.inputs["definition"]
    rules = "".join(each.inputs["data"] for each in of_type(platform, "aws:amp/ruleGroupNamespace:RuleGroupNamespace"))
    assert all(f"runbooks/{alert.runbook}.md" in rules for alert in ALERTS if alert.expression)
    subscriptions = of_type(platform, "aws:sns/topicSubscription:TopicSubscription")
    assert [each.inputs["topic"] for each in subscriptions] == [topic]


def test_who_may_publish_alerts_may_use_the_topics_key_and_nobody_else(platform: Evaluation) -> None:
    (topic,) = of_type(platform, "aws:sns/topicPolicy:TopicPolicy")
    (key,) = [each for each in of_type(platform, "aws:kms/key:Key") if each.name == "keys-topics"]
    publishers = {
        service
        for each in json.loads(topic.inputs["policy"])["Statement"]
        if each["Effect"] == "Allow"
        for service in as_list(each["Principal"]["Service"])
    }
    users = {
        service for each in json.loads(key.inputs["policy"])["Statement"] for service in as_list(each["Principal"].get("Service"))
    }
    assert publishers == users
    assert len(users) == 3


def test_everything_in_aws_carries_the_stacks_tag(platform: Evaluation, stack: Stack) -> None:
    (provider,) = of_type(platform, "pulumi:providers:aws")
    tags = provider.inputs["defaultTags"]
    assert (json.loads(tags) if isinstance(tags, str) else tags)["tags"]["teal:stack"] == stack
    assert {each.provider.split("::")[-2] for each in platform.resources if each.type.startswith("aws:")} == {"aws"}


def test_every_resource_is_part_of_a_component(platform: Evaluation, stack: Stack) -> None:
    loose = [each.name for each in platform.resources if each.custom and each.parent.endswith(f"::teal-{stack}")]
    assert loose == ["aws", "boundary"]  # the provider itself, and the policy that bounds every role of every component


@pytest.mark.exhaustive
@pytest.mark.parametrize(("program", "stack"), EVERY)
def test_a_program_evaluates_within_seconds(program: Program, stack: Stack) -> None:
    evaluate(
        program, stack
    )  # in the first test of a process the import of pulumi_aws takes longer than the program: 3.3 s beside other work
    begin = time.process_time()
    evaluate.__wrapped__(program, stack)
    assert time.process_time() - begin < EVALUATION_SECONDS
