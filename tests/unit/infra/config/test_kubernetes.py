"""A cluster gets a version of Kubernetes that every part of it is tested with, and no add-on is left to EKS' default of the day."""

from __future__ import annotations

import re
from datetime import date

import pytest

from infra.config import kubernetes
from infra.evaluation.evaluate import Evaluation
from infra.platform.cluster import addons, autoscaling
from infra.platform.search import operator
from tests.unit.infra.conftest import of_type


@pytest.mark.parametrize(
    ("version", "says"),
    [
        ("1.32", "KEDA 2.20 is tested with Kubernetes 1.33 to 1.35, and not with 1.32"),
        ("1.36", "KEDA 2.20 is tested with Kubernetes 1.33 to 1.35, and not with 1.36"),
        ("1.33", "Kubernetes 1.33 is not in EKS' standard support"),
        ("1.35", ""),
    ],
)
def test_a_version_that_a_part_does_not_know_is_refused_by_that_parts_name(version: str, says: str) -> None:
    assert kubernetes.unsupported_reason(version).startswith(says)
    assert bool(kubernetes.unsupported_reason(version)) == bool(says)


def test_the_ranges_are_those_of_the_versions_that_are_installed() -> None:
    assert [part.name for part in kubernetes.COMPONENTS] == [
        f"ECK {operator.VERSION.rpartition('.')[0]}",
        f"KEDA {autoscaling.VERSION.rpartition('.')[0]}",
    ]
    assert kubernetes.supported_versions()[-1] == "1.35"
    assert kubernetes.STANDARD_SUPPORT_ENDS["1.35"] == date(2027, 3, 27)


def test_every_add_on_has_a_version_of_the_table(platform: Evaluation) -> None:
    made = {one.inputs["addonName"]: one.inputs.get("addonVersion") for one in of_type(platform, "aws:eks/addon:Addon")}
    assert made == addons.VERSIONS
    assert all(re.fullmatch(r"v\d+\.\d+\.\d+-eksbuild\.\d+", version) for version in addons.VERSIONS.values())
