"""Which of Helm's releases the plan refuses to go on with."""

from __future__ import annotations

from typing import Any

import pytest

from teal.aws import helm_releases
from teal.aws.pulumi.cli import StateResource


def release(outputs: dict[str, Any], kind: str = helm_releases.RELEASE) -> StateResource:
    return StateResource(f"urn:pulumi:dev::teal::{kind}::autoscaling", kind, "keda/keda", protect=False, outputs=outputs)


@pytest.mark.parametrize("status", ["pending-install", "pending-upgrade", "pending-rollback"])
def test_a_release_that_was_cut_off_is_named_with_what_mends_it(status: str) -> None:
    (row,) = helm_releases.cut_off([release({"status": {"status": status}})])
    assert row.detail.startswith(f"the release keda/keda is {status}")
    assert "stuck-pulumi-state" in row.mend


@pytest.mark.parametrize(
    "one",
    [
        release({"status": {"status": "deployed"}}),
        release({"status": {"status": "failed"}}),  # the next `up` tries again by itself
        release({}),
        release({"status": {"status": "pending-upgrade"}}, "kubernetes:core/v1:Secret"),
        release({"status": None}),
    ],
)
def test_what_the_next_up_can_go_on_with_is_not_named(one: StateResource) -> None:
    assert list(helm_releases.cut_off([one])) == []
