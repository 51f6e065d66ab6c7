"""What a state says of creations that were cut off, and what a repair makes of it before it refreshes."""

from __future__ import annotations

from typing import Any

from teal.aws.pulumi.pending_creates import take_for_made

URN = "urn:pulumi:dev-blue::teal-service::teal:service:Web"


def resource(kind: str, name: str = "web", metadata: dict[str, Any] | None = None) -> dict[str, Any]:
    inputs = {} if metadata is None else {"metadata": metadata}
    return {"urn": f"{URN}${kind}::{name}", "type": kind, "custom": True, "inputs": inputs}


DEPLOYMENT = resource("kubernetes:apps/v1:Deployment", metadata={"name": "teal", "namespace": "teal-blue"})
SERVICE = {**resource("kubernetes:core/v1:Service"), "id": "teal-blue/teal"}


def test_an_object_that_was_being_made_is_looked_for_under_its_own_name() -> None:
    state = {"resources": [SERVICE], "pending_operations": [{"type": "creating", "resource": DEPLOYMENT}], "metadata": {}}
    assert take_for_made(state) == {
        "resources": [SERVICE, {**DEPLOYMENT, "id": "teal-blue/teal"}], "pending_operations": [], "metadata": {},
    }  # fmt: skip


def test_an_object_that_two_runs_were_making_is_one() -> None:
    twice = [{"type": "creating", "resource": DEPLOYMENT}] * 2
    found = take_for_made({"resources": [], "pending_operations": twice})
    assert (len(found["resources"]), len(found["pending_operations"])) == (1, 1)


def test_an_object_that_was_to_replace_a_deleted_one_stands_in_its_place() -> None:
    before = {**DEPLOYMENT, "id": "teal-blue/teal", "pendingReplacement": True}
    state = {"resources": [before, SERVICE], "pending_operations": [{"type": "creating", "resource": DEPLOYMENT}]}
    assert take_for_made(state) == {"resources": [{**DEPLOYMENT, "id": "teal-blue/teal"}, SERVICE], "pending_operations": []}


def test_everything_else_stays_as_it_is() -> None:
    """Another operation, an object that is in the state already, one without a whole name, and what is none of Kubernetes'."""
    others = [
        {"type": "updating", "resource": DEPLOYMENT},
        {"type": "creating", "resource": SERVICE},
        {"type": "creating", "resource": resource("kubernetes:batch/v1:CronJob", metadata={"name": "check"})},
        {"type": "creating", "resource": resource("kubernetes:batch/v1:CronJob")},
        {"type": "creating", "resource": resource("pulumi:providers:kubernetes", metadata={"name": "a", "namespace": "b"})},
    ]
    state = {"resources": [SERVICE], "pending_operations": others}
    assert take_for_made(state) == state


def test_a_state_without_anything_stays_so() -> None:
    assert take_for_made({}) == {}
    assert take_for_made({"resources": None, "pending_operations": None}) == {"resources": None, "pending_operations": None}
