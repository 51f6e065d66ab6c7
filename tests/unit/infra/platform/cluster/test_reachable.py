"""The cluster's API is asked until it answers; only then is anything made in it."""

from __future__ import annotations

import pytest
from pulumi import RunError

from infra.platform.cluster import reachable


class Clock:
    """Time that passes by sleeping."""

    def __init__(self) -> None:
        self.now = 0.0

    def sleep(self, seconds: float) -> None:
        self.now += seconds

    def __call__(self) -> float:
        return self.now


def test_an_access_entry_that_is_not_effective_yet_is_waited_for() -> None:
    clock, answers = Clock(), iter(["HTTP Error 401: Unauthorized", "HTTP Error 403: Forbidden", ""])
    reachable.wait_for_api("eu-central-1", "teal-dev", "https://x", "", lambda *_: next(answers), clock.sleep, clock)
    assert clock.now == 10


def test_an_api_that_never_answers_is_said_with_its_last_answer_and_what_to_do() -> None:
    clock = Clock()
    with pytest.raises(RunError, match="did not answer for 300 s: timed out") as raised:
        reachable.wait_for_api("eu-central-1", "teal-dev", "https://x", "", lambda *_: "timed out", clock.sleep, clock)
    assert "kubectl get namespace kube-system" in str(raised.value)
    assert clock.now == reachable.WAIT_SECONDS


def test_the_provider_waits_for_every_administrator_s_access() -> None:
    from tests.unit.infra.conftest import evaluate

    found = evaluate("platform", "dev").resources
    (provider,) = [one for one in found if one.type == "pulumi:providers:kubernetes"]
    access = {one.urn for one in found if one.type.endswith(":AccessPolicyAssociation")}
    assert access
    assert access <= set(provider.depends_on)
