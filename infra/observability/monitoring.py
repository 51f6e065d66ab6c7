"""The monitoring of the platform: one topic for all alerts, alarms, metrics, logs, a dashboard, a budget."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import pulumi
from pulumi_aws import cloudwatch, eks, iam, sns

from infra.observability import alarms, budget, dashboards
from infra.observability.alarms import WatchedResources
from infra.observability.alerts import ALERTS
from infra.observability.prometheus import Prometheus, PrometheusArgs
from infra.platform.cluster import addons
from infra.platform.cluster.pod_role import pod_trust
from infra.platform.keys import TOPIC_PUBLISHERS

# The log groups of the add-on's Fluent Bit. If they did not exist, it would make them unencrypted and without end of retention.
_CONTAINER_LOGS: Final = ("application", "dataplane", "host", "performance")
_AGENT_ACCOUNT: Final = "cloudwatch-agent"
_AGENT_POLICY: Final = "arn:aws:iam::aws:policy/CloudWatchAgentServerPolicy"


@dataclass(frozen=True)
class ObservabilityArgs:
    """`email`: one address to subscribe, which has to confirm. `ready`: nodes and access, which add-ons need.
    `log_days`: retention of logs."""

    prefix: str
    region: str
    account_id: str
    topics_key_arn: pulumi.Input[str]
    logs_key_arn: pulumi.Input[str]
    log_days: int
    email: str | None
    budget_usd: int
    cluster_arn: pulumi.Input[str]
    cluster_security_group_id: pulumi.Input[str]
    subnet_ids: Sequence[pulumi.Input[str]]
    watched: WatchedResources
    ready: Sequence[pulumi.Resource] = ()


class Observability(pulumi.ComponentResource):
    """The monitoring; every alert of `infra.observability.alerts` is published to `topic_arn`. Cost: about 60 USD a month before
    samples and logs; `teal cost` has the lines.

    Container logs are in /aws/containerinsights/CLUSTER/application and are kept `log_days` days.
    """

    topic_arn: pulumi.Output[str]
    prometheus_query_url: pulumi.Output[str]
    workspace_arn: pulumi.Output[str]

    def __init__(self, name: str, args: ObservabilityArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("teal:infra:Observability", name, None, opts)
        topic, publishing = self._topic(name, args)
        alarms.create_alarms(args.prefix, ALERTS, args.watched, topic.arn, self)
        budget.create_budget(args.prefix, args.budget_usd, topic.arn, self, publishing)
        self._container_logs(name, args)
        self._dashboard(name, args)
        # The source of the metrics about pods: a community add-on, which AWS installs but does not otherwise support.
        eks.Addon(
            f"{name}-state-metrics",
            cluster_name=args.watched.cluster_name,
            addon_name=addons.STATE_METRICS,
            addon_version=addons.VERSIONS[addons.STATE_METRICS],
            opts=pulumi.ResourceOptions(parent=self, depends_on=[*args.ready]),
        )
        prometheus = Prometheus(
            f"{name}-prometheus",
            PrometheusArgs(
                prefix=args.prefix,
                region=args.region,
                cluster_arn=args.cluster_arn,
                subnet_ids=args.subnet_ids,
                security_group_ids=[args.cluster_security_group_id],
                topic_arn=topic.arn,
                topic_ready=publishing,
                logs_key_arn=args.logs_key_arn,
                log_days=args.log_days,
                alerts=ALERTS,
                cluster_ready=args.ready,
            ),
            opts=pulumi.ResourceOptions(parent=self),
        )
        self.topic_arn = topic.arn
        self.prometheus_query_url = prometheus.query_url
        self.workspace_arn = prometheus.workspace_arn
        self.register_outputs({"topic_arn": self.topic_arn, "prometheus_query_url": self.prometheus_query_url})

    def _topic(self, name: str, args: ObservabilityArgs) -> tuple[sns.Topic, sns.TopicPolicy]:
        child = pulumi.ResourceOptions(parent=self)
        topic = sns.Topic(f"{name}-alerts", name=f"{args.prefix}-alerts", kms_master_key_id=args.topics_key_arn, opts=child)
        document = topic.arn.apply(lambda arn: json.dumps(topic_policy(arn, args.account_id)))
        publishing = sns.TopicPolicy(f"{name}-alerts", arn=topic.arn, policy=document, opts=child)
        if args.email is not None:
            sns.TopicSubscription(f"{name}-email", topic=topic.arn, protocol="email", endpoint=args.email, opts=child)
        return topic, publishing

    def _container_logs(self, name: str, args: ObservabilityArgs) -> None:
        child = pulumi.ResourceOptions(parent=self)
        groups = [
            cloudwatch.LogGroup(
                f"{name}-{kind}",
                name=pulumi.Output.format("/aws/containerinsights/{0}/{1}", args.watched.cluster_name, kind),
                retention_in_days=args.log_days,
                kms_key_id=args.logs_key_arn,
                opts=child,
            )
            for kind in _CONTAINER_LOGS
        ]
        role = iam.Role(
            f"{name}-agent",
            name=f"{args.prefix}-cloudwatch-agent",
            assume_role_policy=pulumi.Output.from_input(args.cluster_arn).apply(pod_trust),
            opts=child,
        )
        attached = iam.RolePolicyAttachment(f"{name}-agent", role=role.name, policy_arn=_AGENT_POLICY, opts=child)
        eks.Addon(
            f"{name}-cloudwatch",
            cluster_name=args.watched.cluster_name,
            addon_name=addons.CLOUDWATCH,
            addon_version=addons.VERSIONS[addons.CLOUDWATCH],
            configuration_values=json.dumps(cloudwatch_settings()),
            pod_identity_associations=[{"role_arn": role.arn, "service_account": _AGENT_ACCOUNT}],
            opts=pulumi.ResourceOptions(parent=self, depends_on=[*groups, attached, *args.ready]),
        )

    def _dashboard(self, name: str, args: ObservabilityArgs) -> None:
        watched = args.watched
        known: pulumi.Output[dict[str, Any]] = pulumi.Output.all(
            balancer=watched.load_balancer_suffix,
            groups=watched.target_group_suffixes,
            database=watched.database_id,
            cache=watched.cache_group_id,
            cluster=watched.cluster_name,
        )

        def drawn(names: dict[str, Any]) -> str:
            nodes = [f"{names['cache']}-{number:03}" for number in range(1, watched.cache_nodes + 1)]
            graphs = dashboards.graphs(names["balancer"], names["groups"], names["database"], nodes, names["cluster"])
            return json.dumps(dashboards.body(args.region, args.prefix, graphs))

        cloudwatch.Dashboard(
            name, dashboard_name=args.prefix, dashboard_body=known.apply(drawn), opts=pulumi.ResourceOptions(parent=self)
        )


def cloudwatch_settings() -> dict[str, Any]:
    """The add-on's configuration: it collects container logs and injects nothing into pods.

    Its chart turns `monitorAllServices` on in every region that has Application Signals (aws-observability/helm-charts 71a298f,
    charts/amazon-cloudwatch-observability/templates/_helpers.tpl). Its operator then annotates each workload that a Service selects and
    adds init containers without a securityContext, which namespaces with the restricted level refuse: no pod would start
    (aws/amazon-cloudwatch-agent-operator a8d766c, pkg/instrumentation/auto/monitor.go).
    """
    return {
        "containerLogs": {"enabled": True},
        "manager": {"applicationSignals": {"autoMonitor": {"monitorAllServices": False}}},
    }


def topic_policy(topic_arn: str, account_id: str) -> dict[str, Any]:
    """The topic's policy: only alarms, budgets and managed Prometheus of this account may publish, over TLS."""
    allowed = [
        {
            "Sid": service.capitalize(),
            "Effect": "Allow",
            "Principal": {"Service": f"{service}.amazonaws.com"},
            # AMP also reads the topic's attributes before it publishes.
            "Action": ["sns:Publish", "sns:GetTopicAttributes"] if service == "aps" else "sns:Publish",
            "Resource": topic_arn,
            "Condition": {"StringEquals": {"aws:SourceAccount": account_id}},
        }
        for service in TOPIC_PUBLISHERS
    ]
    tls_only = {
        "Sid": "TlsOnly",
        "Effect": "Deny",
        "Principal": "*",
        "Action": "sns:Publish",
        "Resource": topic_arn,
        "Condition": {"Bool": {"aws:SecureTransport": "false"}},
    }
    return {"Version": "2012-10-17", "Statement": [*allowed, tls_only]}
