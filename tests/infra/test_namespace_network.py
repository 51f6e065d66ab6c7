"""Every namespace of the program begins closed, and opens to what its pods need."""

from __future__ import annotations

from typing import Any

from infra.components import autoscaling, database_maintenance, namespace_network
from infra.evaluate import Evaluation
from tests.infra.conftest import of_type

POLICY = "kubernetes:networking.k8s.io/v1:NetworkPolicy"
# Namespaces that this program makes and does not close, each with why.
OPEN = {
    "teal-blue": "the service's program closes it (infra/service/policies.py), before its first pod",
    "teal-green": "the same",
    "elastic-system": "ECK's operator: not closed yet",
}
CIDR = "10.1.0.0/16"


def closed(spec: dict[str, Any]) -> bool:
    return spec["podSelector"] == {} and set(spec["policyTypes"]) == {"Ingress", "Egress"}


def test_every_namespace_is_closed_or_has_a_reason(platform: Evaluation) -> None:
    made = {one.inputs["metadata"]["name"] for one in of_type(platform, "kubernetes:core/v1:Namespace")}
    shut = {one.inputs["metadata"]["namespace"] for one in of_type(platform, POLICY) if closed(one.inputs["spec"])}
    assert made - shut == made & set(OPEN)
    assert {autoscaling.NAMESPACE, database_maintenance.NAMESPACE} <= shut


def test_the_weekly_job_reaches_names_and_the_database_alone() -> None:
    specs = namespace_network.maintenance(CIDR)
    assert not any("ingress" in spec for spec in specs.values())
    ports = {port["port"] for spec in specs.values() for rule in spec.get("egress", []) for port in rule["ports"]}
    assert ports == {53, 5432}
    (database,) = [rule for spec in specs.values() for rule in spec.get("egress", []) if rule["ports"][0]["port"] == 5432]
    assert database["to"] == [{"ipBlock": {"cidr": CIDR}}]


def test_keda_is_asked_from_the_network_and_never_reads_the_node_s_identity() -> None:
    specs = namespace_network.keda(CIDR)
    from_network = [rule for rule in specs["asked"]["ingress"] if "ipBlock" in rule["from"][0]]
    assert [rule["from"] for rule in from_network] == [[{"ipBlock": {"cidr": CIDR}}]]
    assert {port["port"] for rule in from_network for port in rule["ports"]} == {9443, 6443}
    for rule in specs["asking"]["egress"]:
        for target in rule.get("to", []):
            if target.get("ipBlock", {}).get("cidr") == "0.0.0.0/0":
                assert "169.254.0.0/16" in target["ipBlock"]["except"]
    assert {port["port"] for rule in specs["asking"]["egress"] for port in rule["ports"]} == {53, 80, 443, 5432, 9666}


def test_the_policies_are_there_before_the_pods(platform: Evaluation) -> None:
    policies = {one.inputs["metadata"]["namespace"]: one.urn for one in of_type(platform, POLICY)}
    (keda,) = [one for one in of_type(platform, "kubernetes:helm.sh/v3:Release") if one.inputs["name"] == "keda"]
    assert policies[autoscaling.NAMESPACE] in keda.depends_on
    (job,) = of_type(platform, "kubernetes:batch/v1:CronJob")
    assert policies[database_maintenance.NAMESPACE] in job.depends_on
