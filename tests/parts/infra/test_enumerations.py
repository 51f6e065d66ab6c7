"""Values that types call strings and AWS does not: each is checked against botocore's models, moto's copies of AWS's lists, or has a
named source that was read. A wrong one would be found by `pulumi up`, after half an hour."""

from __future__ import annotations

import fnmatch
import gzip
import json
import re
from functools import cache
from pathlib import Path
from typing import Any

import botocore.session
import moto
import pytest
from moto.elbv2.ssl_policies import SSL_POLICIES
from moto.iam.aws_managed_policies import aws_managed_policies_data

from infra.evaluation.evaluate import Evaluation
from infra.platform.ingress.firewall import BODY_RULES, firewall_rules
from tests.unit.infra.conftest import of_type
from tests.unit.infra.name_limits import NAME_LIMITS
from tests.unit.infra.test_promises import as_list, policies

# What no model lists, with where it was read on 2026-11-22. "unverified": no source could be opened here.
SOURCES: dict[tuple[str, str], str] = {
    (
        "eks",
        "1.35",
    ): "EKS user guide, kubernetes-versions.md (names 1.35 and 1.36); standard support until 2027-03-27, endoflife.date/amazon-eks",
    ("postgres", "17"): "github.com/awslabs/swift-aws-lambda-runtime pull request 561 deploys it on RDS",
    ("valkey", "8.0"): "unverified: parameter family valkey8 and version 8.0 are from memory of the ElastiCache user guide",
    ("family", "postgres17"): "RDS names a family postgres and the major version: aws-cdk pull request 28131 shows the form",
    ("family", "valkey8"): "unverified: as valkey 8.0",
    ("addon", "metrics-server"): "EKS user guide, community add-ons",
    ("addon", "kube-state-metrics"): "EKS user guide, community add-ons",
    ("addon", "amazon-cloudwatch-observability"): "EKS user guide, AWS add-ons",
    ("addon", "aws-secrets-store-csi-driver-provider"): "docs/decisions/0006-secrets-by-reference.md",
    ("waf", "AWSManagedRulesAmazonIpReputationList"): "AWS WAF developer guide, IP reputation rule groups; 25 WCU",
    ("waf", "AWSManagedRulesKnownBadInputsRuleSet"): "AWS WAF developer guide, baseline rule groups; 200 WCU",
    ("waf", "AWSManagedRulesCommonRuleSet"): "AWS WAF developer guide, baseline rule groups; 700 WCU",
}
# Actions of IAM that are no operation of an API. Source: Service Authorization Reference, the list of each service.
NOT_OPERATIONS = {
    "iam:PassRole",
    "kms:ReEncryptFrom",
    "kms:ReEncryptTo",
    "backup:CopyIntoBackupVault",
    "backup-storage:MountCapsule",
    "logs:CreateLogDelivery",
    "logs:GetLogDelivery",
    "logs:UpdateLogDelivery",
    "logs:DeleteLogDelivery",
    "logs:ListLogDeliveries",
    "s3:GetObjectVersion",
    "s3:ListBucket",
    "s3:ListBucketVersions",
    "s3:ListBucketMultipartUploads",
    "s3:ListMultipartUploadParts",
    "aps:QueryMetrics",
    "aps:GetLabels",
    "aps:GetSeries",
    "s3:GetEncryptionConfiguration",
    "s3:GetLifecycleConfiguration",
    "s3:PutLifecycleConfiguration",
    "s3:DeleteObjectVersion",
    "s3:GetReplicationConfiguration",
    "s3:GetAccelerateConfiguration",
    "budgets:ViewBudget",
}
MODELS = {"elasticloadbalancing": "elbv2", "aps": "amp", "tag": "resourcegroupstaggingapi", "bedrock": "bedrock-runtime"}


@cache
def _model(service: str) -> Any:
    return botocore.session.get_session().get_service_model(service)


@cache
def _policies_of_aws() -> set[str]:
    known: dict[str, Any] = json.loads(aws_managed_policies_data)
    return {f"arn:aws:iam::aws:policy{each.get('Path', '/')}{name}" for name, each in known.items()}


def _enum(service: str, shape: str) -> set[str]:
    values = set(_model(service).shape_for(shape).enum)
    assert values, f"{service}.{shape} lists nothing"
    return values


def test_names_are_short_enough_and_of_allowed_characters(platform: Evaluation) -> None:
    for kind, (key, longest, pattern) in NAME_LIMITS.items():
        found = of_type(platform, kind)
        assert found, kind
        for resource in found:
            name = resource.inputs[key]
            assert len(name) <= longest, f"{kind} {name}: {len(name)} characters, and {longest} are allowed"
            assert re.fullmatch(pattern, name), f"{kind} {name}"


def test_health_checks_are_within_the_load_balancers_ranges(platform: Evaluation) -> None:
    for group in of_type(platform, "aws:lb/targetGroup:TargetGroup"):
        check = group.inputs["healthCheck"]
        for key, shape in (
            ("interval", "HealthCheckIntervalSeconds"),
            ("timeout", "HealthCheckTimeoutSeconds"),
            ("healthyThreshold", "HealthCheckThresholdCount"),
            ("unhealthyThreshold", "HealthCheckThresholdCount"),
        ):
            limits = _model("elbv2").shape_for(shape).metadata
            assert limits["min"] <= check[key] <= limits["max"], f"{key} {check[key]} is outside {limits}"
        assert check["timeout"] < check["interval"]
        assert 0 <= group.inputs["deregistrationDelay"] <= 3600
        assert group.inputs["targetType"] in _enum("elbv2", "TargetTypeEnum")
        assert group.inputs["protocol"] in _enum("elbv2", "ProtocolEnum")
        # moto and botocore list no algorithms. Source: ELB API reference, TargetGroupAttribute.
        assert group.inputs["loadBalancingAlgorithmType"] in ("round_robin", "least_outstanding_requests", "weighted_random")


def test_rules_and_listeners_use_what_the_load_balancer_knows(platform: Evaluation) -> None:
    limits = _model("elbv2").shape_for("RulePriority").metadata
    for rule in of_type(platform, "aws:lb/listenerRule:ListenerRule"):
        assert limits["min"] <= rule.inputs["priority"] <= limits["max"]
        assert {action["type"] for action in rule.inputs["actions"]} <= _enum("elbv2", "ActionTypeEnum")
    for listener in of_type(platform, "aws:lb/listener:Listener"):
        assert {action["type"] for action in listener.inputs["defaultActions"]} <= _enum("elbv2", "ActionTypeEnum")
        if listener.inputs["protocol"] == "HTTPS":
            policy = next(each for each in SSL_POLICIES.values() if each["name"] == listener.inputs["sslPolicy"])
            assert set(policy["ssl_protocols"]) == {"TLSv1.2", "TLSv1.3"}
    (balancer,) = of_type(platform, "aws:lb/loadBalancer:LoadBalancer")
    assert 1 <= balancer.inputs["idleTimeout"] <= 4000  # seconds; ELB user guide, connection idle timeout


def test_the_cluster_uses_values_of_eks(platform: Evaluation) -> None:
    (cluster,) = of_type(platform, "aws:eks/cluster:Cluster")
    assert set(cluster.inputs["enabledClusterLogTypes"]) == _enum("eks", "LogType")
    assert cluster.inputs["accessConfig"]["authenticationMode"] in _enum("eks", "AuthenticationMode")
    assert cluster.inputs["upgradePolicy"]["supportType"] in _enum("eks", "SupportType")
    assert ("eks", cluster.inputs["version"]) in SOURCES
    for addon in of_type(platform, "aws:eks/addon:Addon"):
        assert ("addon", addon.inputs["addonName"]) in SOURCES
        assert addon.inputs.get("resolveConflictsOnUpdate", "NONE") in _enum("eks", "ResolveConflicts")


def test_engine_versions_and_families_have_a_source(platform: Evaluation) -> None:
    (database,) = of_type(platform, "aws:rds/instance:Instance")
    (cache_,) = of_type(platform, "aws:elasticache/replicationGroup:ReplicationGroup")
    assert (database.inputs["engine"], database.inputs["engineVersion"]) in SOURCES
    assert (cache_.inputs["engine"], cache_.inputs["engineVersion"]) in SOURCES
    for kind in ("aws:rds/parameterGroup:ParameterGroup", "aws:elasticache/parameterGroup:ParameterGroup"):
        for group in of_type(platform, kind):
            assert ("family", group.inputs["family"]) in SOURCES


def test_instance_classes_are_machines_that_ec2_has(platform: Evaluation) -> None:
    # RDS and ElastiCache list theirs by API only; both name the EC2 type behind a prefix.
    with gzip.open(Path(moto.__file__).parent / "ec2" / "resources" / "instance_types.json.gz") as held:
        types = set(json.load(held))
    (database,) = of_type(platform, "aws:rds/instance:Instance")
    (cache_,) = of_type(platform, "aws:elasticache/replicationGroup:ReplicationGroup")
    assert database.inputs["instanceClass"].removeprefix("db.") in types
    assert cache_.inputs["nodeType"].removeprefix("cache.") in types


def test_the_firewalls_rule_groups_have_a_source_and_fit_a_web_acl(platform: Evaluation) -> None:
    (acl,) = of_type(platform, "aws:wafv2/webAcl:WebAcl")
    groups = [
        rule["statement"]["managedRuleGroupStatement"]["name"]
        for rule in acl.inputs["rules"]
        if "managedRuleGroupStatement" in rule["statement"]
    ]
    assert all(("waf", group) in SOURCES for group in groups)
    assert set(BODY_RULES) <= set(groups)
    units = sum(int(re.search(r"(\d+) WCU", SOURCES["waf", group])[1]) for group in groups)  # type: ignore[index]
    own = (
        2 + sum(len(group) for group in BODY_RULES.values()) + 2 * 10 + 70
    )  # rate, labels, two string matches; sizes: eight matches
    assert units + own <= 1_500  # more costs extra; 5,000 is the end
    limits = _model("wafv2").shape_for("RateLimit").metadata
    rate = acl.inputs["rules"][0]["statement"]["rateBasedStatement"]
    assert limits["min"] <= rate["limit"] <= limits["max"]
    assert rate["evaluationWindowSec"] in (60, 120, 300, 600)  # WAFV2 API reference, RateBasedStatement
    names = [rule["name"] for rule in firewall_rules(10)]
    assert len(names) == len(set(names))


def test_every_action_of_a_policy_exists(platform: Evaluation) -> None:
    unknown: list[str] = []
    used: set[str] = set()
    for resource, statement in policies(platform):
        for action in as_list(statement.get("Action")):
            service, operation = action.split(":")
            if action in NOT_OPERATIONS:
                used.add(action)
            elif not fnmatch.filter(_model(MODELS.get(service, service)).operation_names, operation):
                unknown.append(f"{resource.name}: {action}")
    assert unknown == []
    assert used == NOT_OPERATIONS, f"nobody uses {NOT_OPERATIONS - used}"


def test_policies_of_aws_exist(platform: Evaluation) -> None:
    arns = _policies_of_aws()
    for attachment in of_type(platform, "aws:iam/rolePolicyAttachment:RolePolicyAttachment"):
        arn = attachment.inputs["policyArn"]
        if arn.startswith("arn:aws:iam::aws:"):
            assert arn in arns, f"{attachment.name}: AWS has no policy {arn}"


def test_logs_are_kept_for_a_number_of_days_that_cloudwatch_knows(platform: Evaluation) -> None:
    text = _model("logs").shape_for("Days").documentation
    days = {int(each) for each in re.findall(r"\d+", re.search(r"Possible values are: ([\d, and]+)", text)[1])}  # type: ignore[index]
    assert 3653 in days
    for group in of_type(platform, "aws:cloudwatch/logGroup:LogGroup"):
        assert group.inputs["retentionInDays"] in days


def test_alarms_use_operators_and_statistics_of_cloudwatch(platform: Evaluation) -> None:
    for alarm in of_type(platform, "aws:cloudwatch/metricAlarm:MetricAlarm"):
        assert alarm.inputs["comparisonOperator"] in _enum("cloudwatch", "ComparisonOperator")
        assert alarm.inputs["treatMissingData"] in ("notBreaching", "breaching", "ignore", "missing")
        if "statistic" in alarm.inputs:
            assert alarm.inputs["statistic"] in _enum("cloudwatch", "Statistic")


def test_the_network_uses_values_of_ec2(platform: Evaluation) -> None:
    for endpoint in of_type(platform, "aws:ec2/vpcEndpoint:VpcEndpoint"):
        assert endpoint.inputs["vpcEndpointType"] in _enum("ec2", "VpcEndpointType")
    (log,) = of_type(platform, "aws:ec2/flowLog:FlowLog")
    assert log.inputs["trafficType"] in _enum("ec2", "TrafficType")
    assert log.inputs["logDestinationType"] in _enum("ec2", "LogDestinationType")
    (certificate,) = of_type(platform, "aws:acm/certificate:Certificate")
    assert certificate.inputs["keyAlgorithm"] in _enum("acm", "KeyAlgorithm")


@pytest.mark.parametrize("values", [SOURCES, {("action", action): "listed" for action in NOT_OPERATIONS}])
def test_every_source_says_where(values: dict[tuple[str, str], str]) -> None:
    assert all(where.strip() for where in values.values())
