"""What watches the platform: everything reaches the topic, nobody else may publish there, logs end."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from functools import cache
from typing import Any

import pytest
import yaml

from contract import scrape
from infra.config.sections import DatabaseConfig
from infra.observability import alarms
from infra.observability.alarms import WatchedResources
from infra.observability.alerts import ALERTS
from infra.observability.monitoring import Observability, ObservabilityArgs, topic_policy
from infra.observability.prometheus import alert_manager, scrape_configuration
from infra.observability.prometheus_rules import rule_groups
from infra.platform.search import exporter, users
from infra.policy.resource import Resource
from infra.policy.rules import RULES
from tests.unit.infra.conftest import STACKS, Stack, evaluate
from tests.unit.infra.mocks import RegisteredResource, run

ACCOUNT = "123456789012"
KEEPS_DAYS = {1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1096, 1827, 2192, 2557, 2922, 3288, 3653}


@cache
def registered(database_class: str = "db.t4g.small", email: str | None = "oncall@example.com") -> tuple[RegisteredResource, ...]:
    def program() -> None:
        Observability(
            "observability",
            ObservabilityArgs(
                prefix="teal-dev",
                region="eu-central-1",
                account_id=ACCOUNT,
                topics_key_arn="arn:key:topics",
                logs_key_arn="arn:key:logs",
                log_days=7,
                email=email,
                budget_usd=400,
                cluster_arn="arn:cluster",
                cluster_security_group_id="sg-1",
                subnet_ids=["subnet-a", "subnet-b"],
                watched=WatchedResources(
                    load_balancer_suffix="app/teal/1",
                    target_group_suffixes={"blue": "targetgroup/blue/1", "green": "targetgroup/green/1"},
                    database_id="teal-dev",
                    database_class=database_class,
                    cache_group_id="teal-dev",
                    cache_nodes=2,
                    cluster_name="teal-dev",
                    vault_name="teal-dev",
                    stack="dev",
                    watchdog="teal-dev-watchdog",
                    copies=True,
                    certificate_arn="arn:certificate",
                ),
            ),
        )

    return tuple(run(program))


def of(kind: str, found: Sequence[Any]) -> list[Any]:
    return [each for each in found if each.type == kind]


def one(kind: str, found: tuple[RegisteredResource, ...]) -> dict[str, Any]:
    (only,) = of(kind, found)
    return only.inputs


def test_every_alert_reaches_the_topic() -> None:
    found = registered()
    topic = one("aws:sns/topicPolicy:TopicPolicy", found)["arn"]
    alarms = of("aws:cloudwatch/metricAlarm:MetricAlarm", found)
    assert all(alarm.inputs["alarmActions"] == [topic] == alarm.inputs["okActions"] for alarm in alarms)
    watched_by_alarm = {a.name for a in ALERTS for alarm in alarms if alarm.name.startswith(f"teal-dev-{a.name}")}
    document = yaml.safe_load(one("aws:amp/ruleGroupNamespace:RuleGroupNamespace", found)["data"])
    watched_by_rule = {rule["alert"] for group in document["groups"] for rule in group["rules"] if "alert" in rule}
    manager = yaml.safe_load(
        yaml.safe_load(one("aws:amp/alertManagerDefinition:AlertManagerDefinition", found)["definition"])["alertmanager_config"]
    )
    assert [c["topic_arn"] for r in manager["receivers"] for c in r["sns_configs"]] == [topic]
    assert manager["route"]["receiver"] == manager["receivers"][0]["name"]
    budget = one("aws:budgets/budget:Budget", found)
    assert all(n["subscriberSnsTopicArns"] == [topic] for n in budget["notifications"])
    assert watched_by_alarm | watched_by_rule | {"SpendingHigh"} == {alert.name for alert in ALERTS}


def test_the_budget_counts_this_stack_alone() -> None:
    budget = one("aws:budgets/budget:Budget", registered())
    assert budget["costFilters"] == [{"name": "TagKeyValue", "values": ["user:teal:stack$dev", "aws:eks:cluster-name$teal-dev"]}]


def test_the_certificate_s_alarm_looks_as_far_back_as_its_metric_comes() -> None:
    (alarm,) = [each.inputs for each in registered() if each.name == "teal-dev-CertificateExpires"]
    assert alarm["period"] * alarm["evaluationPeriods"] == 86_400  # twice a day, and CloudWatch takes no more than a day here


def test_the_topic_is_encrypted_and_only_three_services_of_this_account_publish() -> None:
    found = registered()
    assert one("aws:sns/topic:Topic", found)["kmsMasterKeyId"] == "arn:key:topics"
    policy = json.loads(one("aws:sns/topicPolicy:TopicPolicy", found)["policy"])
    allowed = [s for s in policy["Statement"] if s["Effect"] == "Allow"]
    assert {s["Principal"]["Service"] for s in allowed} == {
        "cloudwatch.amazonaws.com",
        "budgets.amazonaws.com",
        "aps.amazonaws.com",
    }
    assert all(s["Condition"] == {"StringEquals": {"aws:SourceAccount": ACCOUNT}} for s in allowed)
    (denied,) = [s for s in topic_policy("arn:topic", ACCOUNT)["Statement"] if s["Effect"] == "Deny"]
    assert denied["Condition"] == {"Bool": {"aws:SecureTransport": "false"}}


def test_without_an_address_nobody_is_subscribed() -> None:
    assert of("aws:sns/topicSubscription:TopicSubscription", registered(email=None)) == []
    assert one("aws:sns/topicSubscription:TopicSubscription", registered())["endpoint"] == "oncall@example.com"


def test_each_color_and_each_cache_node_has_its_own_alarm() -> None:
    names = {each.name for each in of("aws:cloudwatch/metricAlarm:MetricAlarm", registered())}
    assert {"teal-dev-TargetsUnhealthy-blue", "teal-dev-TargetsUnhealthy-green"} <= names
    assert {"teal-dev-CacheMemory-001", "teal-dev-CacheMemory-002"} <= names


@pytest.mark.parametrize(("database_class", "expected"), [("db.t4g.small", 1), ("db.m7g.large", 0)])
def test_only_a_burstable_database_has_an_alarm_for_credits(database_class: str, expected: int) -> None:
    alarms = of("aws:cloudwatch/metricAlarm:MetricAlarm", registered(database_class))
    assert len([a for a in alarms if "DatabaseCreditsGone" in a.name]) == expected


def test_an_alarm_on_a_share_returns_one_series_and_needs_enough_requests() -> None:
    (alarm,) = [a for a in of("aws:cloudwatch/metricAlarm:MetricAlarm", registered()) if a.name == "teal-dev-AnswersFail"]
    queries = alarm.inputs["metricQueries"]
    assert [q["id"] for q in queries if q.get("returnData")] == ["share"]
    assert ">= 100" in queries[0]["expression"]
    assert "metricName" not in alarm.inputs


def test_alarms_fit_cloudwatch_s_limits() -> None:
    for alarm in of("aws:cloudwatch/metricAlarm:MetricAlarm", registered()):
        period = alarm.inputs.get("period", 60)
        assert period in {10, 30} or period % 60 == 0
        assert period * alarm.inputs["evaluationPeriods"] <= 86_400  # a day at most
        assert len(alarm.inputs["alarmDescription"]) <= 1_024
        assert ("statistic" in alarm.inputs) + ("extendedStatistic" in alarm.inputs) + ("metricQueries" in alarm.inputs) == 1


def test_logs_are_encrypted_end_and_exist_before_the_agent_would_make_them() -> None:
    found = registered()
    groups = of("aws:cloudwatch/logGroup:LogGroup", found)
    assert "/aws/containerinsights/teal-dev/application" in {g.inputs["name"] for g in groups}
    assert all(g.inputs["kmsKeyId"] == "arn:key:logs" and g.inputs["retentionInDays"] in KEEPS_DAYS for g in groups)
    (agent,) = [a for a in of("aws:eks/addon:Addon", found) if a.inputs["addonName"] == "amazon-cloudwatch-observability"]
    assert {g.urn for g in groups if "containerinsights" in g.inputs["name"]} <= set(agent.depends_on)


def test_metrics_history_is_protected_and_its_logs_go_where_aws_may_write() -> None:
    found = registered()
    (workspace,) = of("aws:amp/workspace:Workspace", found)
    assert workspace.protect
    assert workspace.inputs["loggingConfiguration"]["logGroupArn"].endswith(":*")
    assert any(g.inputs["name"].startswith("/aws/vendedlogs/") for g in of("aws:cloudwatch/logGroup:LogGroup", found))


def test_the_collector_asks_the_service_s_pods_and_search_s_reporter() -> None:
    document = yaml.safe_load(one("aws:amp/scraper:Scraper", registered())["scrapeConfiguration"])
    assert document == scrape_configuration()
    (ours, _state) = document["scrape_configs"]
    names, ports = (rule["regex"].split("|") for rule in ours["relabel_configs"][:2])
    reporter = exporter.exporter_deployment()["template"]
    made = evaluate("service", "prod").resources
    ((app,), (worker,)) = (of(f"kubernetes:apps/v1:{kind}", made) for kind in ("Deployment", "StatefulSet"))
    for pod in (reporter, app.inputs["spec"]["template"], worker.inputs["spec"]["template"]):
        assert pod["metadata"]["labels"]["app.kubernetes.io/name"] in names
        assert any(port["name"] in ports for container in pod["spec"]["containers"] for port in container["ports"])


def test_what_a_container_counted_before_it_began_anew_has_series_of_its_own() -> None:
    """Else its new counts would be seen only above the old ones: the gates sum the highest count of each series."""
    ours = scrape_configuration()["scrape_configs"][0]["relabel_configs"]
    kept = [rule["source_labels"] for rule in ours if rule.get("target_label")]
    assert ["__meta_kubernetes_pod_container_id"] in kept


def test_the_collector_gets_to_every_port_that_it_asks() -> None:
    """Each of the service's pods lets the VPC in at the port it is asked at, and serves there beyond loopback."""
    made, platform = evaluate("service", "prod").resources, evaluate("platform", "prod").resources
    for kind in ("Deployment", "StatefulSet"):
        (found,) = of(f"kubernetes:apps/v1:{kind}", made)
        pod = found.inputs["spec"]["template"]
        (container,) = pod["spec"]["containers"]
        (asked,) = [port["containerPort"] for port in container["ports"] if port["name"] in scrape.PORTS]
        open_ports = {
            port["port"]
            for policy in of("kubernetes:networking.k8s.io/v1:NetworkPolicy", platform)
            if policy.inputs["metadata"]["namespace"] == found.inputs["metadata"]["namespace"]
            if policy.inputs["spec"]["podSelector"].get("matchLabels", {"no": "pod"}).items() <= pod["metadata"]["labels"].items()
            for rule in policy.inputs["spec"].get("ingress", [])
            for port in rule["ports"]
        }
        assert open_ports == {asked}
        assert "0.0.0.0" in container["args"]
        assert str(asked) in container["args"]


def test_only_the_collector_waits_for_the_cluster() -> None:
    """So that taking the cluster down leaves the history of metrics where it is."""
    resources = {each.urn: each for each in evaluate("platform", "prod").resources}
    (workspace,) = of("aws:amp/workspace:Workspace", list(resources.values()))
    (scraper,) = of("aws:amp/scraper:Scraper", list(resources.values()))
    assert scraper.depends_on
    for urn in workspace.depends_on:
        assert not resources[urn].type.startswith(("kubernetes:", "aws:eks/"))


def test_search_s_reporter_has_a_user_that_reads_numbers_only() -> None:
    role = users.roles()[users.METRICS]
    assert role == {"cluster": ["monitor", "monitor_snapshot"], "indices": []}
    (container,) = exporter.exporter_deployment()["template"]["spec"]["containers"]
    assert {each["valueFrom"]["secretKeyRef"]["name"] for each in container["env"]} == {users.METRICS}
    assert "--collector.snapshots" in container["args"]  # without it no alert knows a snapshot's age


@pytest.mark.parametrize("stack", STACKS)
def test_the_platform_runs_search_s_reporter_under_every_rule(stack: Stack) -> None:
    found = [r for r in evaluate("platform", stack).resources if r.type == "kubernetes:apps/v1:Deployment"]
    (reporter,) = [r for r in found if r.inputs["metadata"]["name"] == exporter.NAME]
    checked = Resource(reporter.type, reporter.name, reporter.inputs)
    assert [violation for rule in RULES for violation in rule.check(checked)] == []


def test_alert_manager_uses_nothing_that_amp_forbids() -> None:
    text = alert_manager("arn:topic", "eu-central-1")
    assert "api_url" not in text
    assert "http_config" not in text
    assert yaml.safe_load(yaml.safe_load(text)["alertmanager_config"])["receivers"][0]["sns_configs"][0]["sigv4"] == {
        "region": "eu-central-1"
    }


def test_rules_carry_severity_and_page() -> None:
    alerts = [rule for group in rule_groups(ALERTS)["groups"] for rule in group["rules"] if "alert" in rule]
    assert alerts
    for rule in alerts:
        assert rule["labels"]["severity"] in {"page", "ticket"}
        assert rule["annotations"]["runbook"].startswith("runbooks/")


def test_the_dashboard_shows_both_colors_and_does_not_overlap() -> None:
    inputs = one("aws:cloudwatch/dashboard:Dashboard", registered())
    widgets = json.loads(inputs["dashboardBody"])["widgets"]
    assert "targetgroup/blue/1" in inputs["dashboardBody"]
    assert "targetgroup/green/1" in inputs["dashboardBody"]
    taken = [(w["x"], w["y"]) for w in widgets]
    assert len(set(taken)) == len(taken)
    assert all(w["x"] + w["width"] <= 24 for w in widgets)


def test_nothing_is_put_into_our_pods_by_the_agent_of_logs() -> None:
    """An init container without a securityContext is refused by the restricted level: no pod that a Service selects would start."""
    (addon,) = [
        each for each in of("aws:eks/addon:Addon", registered()) if each.inputs["addonName"] == "amazon-cloudwatch-observability"
    ]
    said = json.loads(addon.inputs["configurationValues"])
    assert said["manager"]["applicationSignals"]["autoMonitor"]["monitorAllServices"] is False
    assert re.fullmatch(r"v\d+\.\d+\.\d+-eksbuild\.\d+", addon.inputs["addonVersion"])


def test_a_failed_backup_is_told() -> None:
    (alarm,) = [
        each for each in of("aws:cloudwatch/metricAlarm:MetricAlarm", registered()) if each.name.endswith("-BackupFailed")
    ]
    assert (alarm.inputs["namespace"], alarm.inputs["metricName"]) == ("AWS/Backup", "NumberOfBackupJobsFailed")
    assert alarm.inputs["dimensions"] == {"BackupVaultName": "teal-dev"}


@pytest.mark.parametrize(
    ("instance_class", "gib"), [("db.m7g.16xlarge", 256), ("db.r7g.12xlarge", 384), ("db.t4g.micro", 1), ("db.m7i.24xlarge", 384)]
)
def test_the_connections_of_every_class_that_a_file_may_name_are_known(instance_class: str, gib: int) -> None:
    DatabaseConfig(instance_class=instance_class)
    assert alarms.max_connections(instance_class) == min(int(gib * 1024**3 * 0.9 / 9_531_392), 5_000)


def test_the_budget_counts_the_machines_that_eks_makes() -> None:
    (made,) = of("aws:budgets/budget:Budget", registered())
    (found,) = made.inputs["costFilters"]
    assert found == {"name": "TagKeyValue", "values": ["user:teal:stack$dev", "aws:eks:cluster-name$teal-dev"]}
