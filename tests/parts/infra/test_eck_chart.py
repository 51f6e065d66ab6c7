"""The chart of ECK's operator, rendered by Helm's own library with the platform's values: what the platform counts on is what comes out."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

import pytest
import yaml

from infra.platform.network.namespaces import ECK_WEBHOOK
from infra.platform.search import operator, resources
from tests.services import eck_chart, helm_chart

pytestmark = pytest.mark.integration

RESTRICTED: Final = {"allowPrivilegeEscalation": False, "readOnlyRootFilesystem": True, "capabilities": {"drop": ["ALL"]}}


@pytest.fixture(scope="module")
def chart() -> eck_chart.Chart:
    return eck_chart.chart("prod")


def _one(chart: eck_chart.Chart, kind: str) -> dict[str, Any]:
    (found,) = (one for one in chart.rest if one["kind"] == kind)
    return found


def _paths(values: Mapping[str, Any], above: str = "") -> Iterator[str]:
    for name, value in values.items():
        if isinstance(value, Mapping):
            yield from _paths(value, f"{above}{name}.")
        else:
            yield f"{above}{name}"


def test_every_value_that_the_platform_sets_is_one_that_the_chart_knows() -> None:
    known: Any = helm_chart.default_values(eck_chart.folder())
    free = {"podSecurityContext"}  # taken as it is, into the pod
    asked = {name: value for name, value in eck_chart.release()["values"].items() if name not in free}
    for path in _paths(asked):
        found = known
        for name in path.split("."):
            assert name in found, f"the chart has no value {path}"
            found = found[name]


def test_the_operators_configuration_says_what_the_platform_means(chart: eck_chart.Chart) -> None:
    said = yaml.safe_load(_one(chart, "ConfigMap")["data"]["eck.yaml"])
    assert said["namespaces"] == [resources.NAMESPACE]
    assert said["ca-cert-validity"] == f"{operator.CA_HOURS}h"
    assert said["disable-telemetry"] is True
    assert said["set-default-security-context"] == "true" or said["set-default-security-context"] is True


def test_the_operators_pod_is_not_root_and_can_change_nothing_on_its_machine(chart: eck_chart.Chart) -> None:
    pod = _one(chart, "StatefulSet")["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    assert container["securityContext"].items() >= RESTRICTED.items()
    assert pod["securityContext"] == {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}}
    assert not pod.get("hostNetwork")
    assert container["image"].endswith(f":{operator.VERSION}")


def test_network_policies_open_the_port_at_which_the_chart_serves_its_webhook(chart: eck_chart.Chart) -> None:
    (container,) = _one(chart, "StatefulSet")["spec"]["template"]["spec"]["containers"]
    assert [port["containerPort"] for port in container["ports"]] == [ECK_WEBHOOK]
    (port,) = _one(chart, "Service")["spec"]["ports"]
    assert port["targetPort"] == ECK_WEBHOOK


def test_all_namespaced_objects_are_in_the_namespace_whose_network_the_platform_closes_first(chart: eck_chart.Chart) -> None:
    cluster_wide = ("ClusterRole", "ClusterRoleBinding", "ValidatingWebhookConfiguration")
    found = {one["metadata"].get("namespace") for one in chart.rest if one["kind"] not in cluster_wide}
    assert found == {operator.NAMESPACE}
