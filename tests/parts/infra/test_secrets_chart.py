"""The chart of the secrets driver, rendered by Helm's own library with the platform's settings of the add-on: what the platform counts on comes out."""

from __future__ import annotations

from typing import Any, Final, cast

import pytest

from contract.pods import SECRETS_DRIVER
from infra.platform.cluster import secrets
from tests.services import helm_chart, secrets_chart

pytestmark = pytest.mark.integration

POD_IDENTITY: Final = "pods.eks.amazonaws.com"
IN_CHART: Final = "secretprovidersyncing-role"


@pytest.fixture(scope="module")
def chart() -> list[dict[str, Any]]:
    return secrets_chart.objects()


def _one(chart: list[dict[str, Any]], kind: str, name: str = "") -> dict[str, Any]:
    (found,) = (one for one in chart if one["kind"] == kind and name in ("", one["metadata"]["name"]))
    return found


def test_every_setting_of_the_platform_is_one_that_the_chart_knows() -> None:
    known = helm_chart.default_values(secrets_chart.folder())
    for name, value in secrets_chart.values().items():
        assert name in known
        if isinstance(value, dict):
            assert set(value) <= set(known[name])


def test_kubelet_makes_tokens_for_pod_identity_and_asks_again_for_values(chart: list[dict[str, Any]]) -> None:
    driver = _one(chart, "CSIDriver")
    assert driver["metadata"]["name"] == SECRETS_DRIVER
    assert POD_IDENTITY in {one["audience"] for one in driver["spec"]["tokenRequests"]}
    assert driver["spec"]["requiresRepublish"] is True
    assert driver["spec"]["podInfoOnMount"] is True


def test_the_driver_asks_for_newer_values_once_an_hour(chart: list[dict[str, Any]]) -> None:
    containers = _one(chart, "DaemonSet")["spec"]["template"]["spec"]["containers"]
    (driver,) = (one for one in containers if one["name"] == "secrets-store")
    assert {"--enable-secret-rotation=true", "--rotation-poll-interval=3600s"} <= set(driver["args"])


def test_the_right_to_copy_is_the_chart_s_own_and_reaches_the_driver_s_account(chart: list[dict[str, Any]]) -> None:
    (rule,) = _one(chart, "ClusterRole", IN_CHART)["rules"]
    given = secrets.COPY_RULE
    assert (rule["apiGroups"], rule["resources"]) == (given["api_groups"], given["resources"])
    assert sorted(rule["verbs"]) == sorted(cast(list[str], given["verbs"]))
    assert _one(chart, "ServiceAccount")["metadata"]["namespace"] == secrets.NAMESPACE
