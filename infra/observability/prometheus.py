"""Amazon Managed Prometheus (AMP): the workspace for the service's metrics, its collector, its rules, and its alert receiver."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import pulumi
import yaml
from pulumi_aws import amp, cloudwatch

from contract import scrape
from infra.observability.alerts import Alert
from infra.observability.prometheus_rules import RULE_GROUP, rules_yaml

SCRAPE_SECONDS: Final = 30  # half of a one-minute window; each halving doubles the price of samples


@dataclass(frozen=True)
class PrometheusArgs:
    """`security_group_ids`: the collector's network interfaces; the cluster's own group lets it reach API server and pods.

    `cluster_ready`: what must exist before a collector can be made in the cluster.
    """

    prefix: str
    region: str
    cluster_arn: pulumi.Input[str]
    subnet_ids: Sequence[pulumi.Input[str]]
    security_group_ids: Sequence[pulumi.Input[str]]
    topic_arn: pulumi.Input[str]
    topic_ready: pulumi.Resource  # AMP tests that it may publish when the definition is created
    logs_key_arn: pulumi.Input[str]
    log_days: int
    alerts: Sequence[Alert]
    cluster_ready: Sequence[pulumi.Resource] = ()


class Prometheus(pulumi.ComponentResource):
    """Metrics of the pods, every 30 s, kept 150 days; alerts as rules; messages to one topic.

    Cost: the collector 0.04 USD an hour, and samples (`infra.cost.report` counts them). The workspace is protected: it is the history.
    """

    workspace_arn: pulumi.Output[str]
    query_url: pulumi.Output[str]

    def __init__(self, name: str, args: PrometheusArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("teal:infra:Prometheus", name, None, opts)
        child = pulumi.ResourceOptions(parent=self)
        logs = cloudwatch.LogGroup(
            name,
            name=f"/aws/vendedlogs/{args.prefix}-prometheus",  # AWS services may write logs only below this prefix
            retention_in_days=args.log_days,
            kms_key_id=args.logs_key_arn,
            opts=child,
        )
        workspace = amp.Workspace(
            name,
            alias=args.prefix,
            logging_configuration={"log_group_arn": logs.arn.apply(lambda arn: f"{arn.removesuffix(':*')}:*")},
            opts=pulumi.ResourceOptions(parent=self, protect=True),
        )
        amp.RuleGroupNamespace(name, name=RULE_GROUP, workspace_id=workspace.id, data=rules_yaml(args.alerts), opts=child)
        amp.AlertManagerDefinition(
            name,
            workspace_id=workspace.id,
            definition=pulumi.Output.from_input(args.topic_arn).apply(lambda topic: alert_manager(topic, args.region)),
            opts=pulumi.ResourceOptions(parent=self, depends_on=[args.topic_ready]),
        )
        amp.Scraper(
            name,
            alias=args.prefix,
            source={
                "eks": {
                    "cluster_arn": args.cluster_arn,
                    "subnet_ids": args.subnet_ids,
                    "security_group_ids": args.security_group_ids,
                }
            },
            destination={"amp": {"workspace_arn": workspace.arn}},
            scrape_configuration=yaml.safe_dump(scrape_configuration(), sort_keys=False),
            # Only the collector depends on the cluster: history and alerts exist before it and outlive it.
            opts=pulumi.ResourceOptions(parent=self, depends_on=list(args.cluster_ready)),
        )
        self.workspace_arn = workspace.arn
        self.query_url = workspace.prometheus_endpoint.apply(lambda url: f"{url}api/v1/query")
        self.register_outputs({"workspace_arn": self.workspace_arn, "query_url": self.query_url})


def alert_manager(topic_arn: str, region: str) -> str:
    """AMP's definition: one receiver, the topic. AMP takes no other receiver, and `sigv4.region` is required."""
    receiver = {
        "name": "topic",
        "sns_configs": [
            {
                "topic_arn": topic_arn,
                "sigv4": {"region": region},
                "subject": "{{ .Status }}: {{ .GroupLabels.alertname }}",  # SNS takes 100 characters; the default template may be longer
                "attributes": {"severity": "{{ .CommonLabels.severity }}"},
                "message": "{{ range .Alerts }}{{ .Annotations.summary }} - {{ .Annotations.runbook }}\n{{ end }}",
            }
        ],
    }
    route = {
        "receiver": "topic",
        "group_by": ["alertname"],
        "group_wait": "30s",
        "group_interval": "5m",
        "repeat_interval": "4h",
    }
    inner = yaml.safe_dump({"route": route, "receivers": [receiver]}, sort_keys=False)
    return yaml.safe_dump({"alertmanager_config": inner}, sort_keys=False)


def scrape_configuration() -> dict[str, Any]:
    """Which pods are scraped: the service's, by label and container port (contract/scrape.py), and kube-state-metrics."""

    def keep(meta: str, regex: str) -> dict[str, Any]:
        return {"source_labels": [f"__meta_kubernetes_pod_{meta}"], "action": "keep", "regex": regex}

    def label(meta: str, target: str) -> dict[str, Any]:
        return {"source_labels": [f"__meta_kubernetes_{meta}"], "target_label": target}

    ours = [
        keep(f"label_{re.sub(r'[^a-z]', '_', scrape.NAME_LABEL)}", "|".join(scrape.NAMES)),
        keep("container_port_name", "|".join(scrape.PORTS)),
        keep("phase", "Running"),  # another pod may have the address of a finished Job by now
        label("namespace", "namespace"),
        label("pod_name", "pod"),
        label("pod_label_app_kubernetes_io_component", "component"),
        label("pod_label_app_kubernetes_io_version", "release"),
        label("pod_label_teal_color", "color"),
        # A container that begins anew counts from zero: with a series of its own, what both counted adds up (teal/metrics/counters.py).
        label("pod_container_id", "container_id"),
    ]
    state = [keep("label_app_kubernetes_io_name", "kube-state-metrics"), keep("container_port_number", "8080")]
    # Drops thousands of series that no rule or dashboard uses but that would be billed.
    wanted = "kube_pod_(container_status_restarts_total|status_phase|status_ready)|kube_(deployment|statefulset)_.*|kube_node_(status_condition|info)|kube_secret_created"
    pods = [{"role": "pod"}]
    return {
        "global": {"scrape_interval": f"{SCRAPE_SECONDS}s"},
        "scrape_configs": [
            {"job_name": "teal", "kubernetes_sd_configs": pods, "relabel_configs": ours},
            {
                "job_name": "kube-state-metrics",
                "kubernetes_sd_configs": pods,
                "relabel_configs": state,
                "metric_relabel_configs": [{"source_labels": ["__name__"], "action": "keep", "regex": wanted}],
            },
        ],
    }
