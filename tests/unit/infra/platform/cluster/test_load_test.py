"""Load tests in the cluster: nothing unless asked for; then what the policies, the API and Locust itself take."""

from __future__ import annotations

import functools
from typing import Any

import pytest
from kubernetes_validate import validate

from contract import scrape
from contract.http import POD_PORT
from infra.config.read import ConfigError, load_config
from infra.cost.capacity import pod_needs
from infra.evaluation.evaluate import ROOT, Evaluation, RegisteredResource, evaluate_program, stack_values
from infra.platform.cluster.load_test import KEYS, MASTER, MOCK_MODEL, NAMESPACE, VARIABLE, WORKER
from infra.platform.network import namespaces
from infra.policy.resource import Resource
from infra.policy.rules import RULES
from tests.unit.infra.conftest import evaluate as committed

IMAGE = f"123456789012.dkr.ecr.eu-central-1.amazonaws.com/teal-dev@sha256:{'a' * 64}"
VALUES = {**stack_values("dev"), "teal:load": {"workers": 3, "image": IMAGE}}


@functools.cache
def asked_for() -> dict[tuple[str, str], RegisteredResource]:
    """What dev registers with three workers and does not without, by type and name in Kubernetes."""
    without = {one.urn for one in committed("platform", "dev").resources}
    found = evaluate_program("teal", ROOT / "infra" / "__main__.py", "dev", VALUES).resources
    return {
        (one.type.split(":")[-1], one.inputs["metadata"]["name"]): one for one in found if one.urn not in without and one.custom
    }


def container(name: str) -> dict[str, Any]:
    (found,) = asked_for()["Deployment", name].inputs["spec"]["template"]["spec"]["containers"]
    return dict(found)


def labels(name: str) -> dict[str, str]:
    return dict(asked_for()["Deployment", name].inputs["spec"]["template"]["metadata"]["labels"])


def test_nothing_of_it_is_there_unless_asked_for_and_then_all_in_its_own_namespace() -> None:
    found = asked_for()
    assert {kind for kind, _ in found} == {"Namespace", "NetworkPolicy", "Service", "Deployment"}
    assert {one.inputs["metadata"].get("namespace", NAMESPACE) for one in found.values()} == {NAMESPACE}


def test_workers_without_an_image_are_refused() -> None:
    with pytest.raises(ConfigError, match=r"teal:load\.image: there are workers and no image"):
        load_config({**VALUES, "teal:load": {"workers": 1}}, "dev", "Pulumi.dev.yaml")
    with pytest.raises(ConfigError, match=r"teal:load\.image"):
        load_config({**VALUES, "teal:load": {"workers": 1, "image": "teal-load:latest"}}, "dev", "Pulumi.dev.yaml")


def test_a_hundred_thousand_users_are_within_reach_and_a_mistyped_number_is_not() -> None:
    many = load_config({**VALUES, "teal:load": {"workers": 1000, "image": IMAGE}}, "dev", "x")
    assert many.load.workers * 1_000 >= 100_000  # users of a worker: docs/load.md
    with pytest.raises(ConfigError, match=r"teal:load\.workers"):
        load_config({**VALUES, "teal:load": {"workers": 1001, "image": IMAGE}}, "dev", "x")


def test_every_policy_and_the_api_of_the_pinned_version_take_it() -> None:
    kubernetes = load_config(VALUES, "dev", "x").cluster.version
    for one in asked_for().values():
        resource = Resource(one.type, one.name, one.inputs, one.protect, "dev")
        assert [said for rule in RULES for said in rule.check(resource)] == []
        assert validate(dict(one.inputs), kubernetes, strict=True) == kubernetes


def test_as_many_workers_as_asked_for_and_one_master_which_alone_has_the_keys() -> None:
    found = asked_for()
    assert (found["Deployment", MASTER].inputs["spec"]["replicas"], found["Deployment", WORKER].inputs["spec"]["replicas"]) == (
        1,
        3,
    )
    assert container(MASTER)["env"] == [{"name": VARIABLE, "valueFrom": {"secretKeyRef": {"name": KEYS, "key": VARIABLE}}}]
    assert "env" not in container(WORKER)


def test_the_policies_are_there_before_the_pods() -> None:
    found = asked_for()
    policies = {one.urn for (kind, _), one in found.items() if kind == "NetworkPolicy"}
    assert policies <= set(found["Deployment", WORKER].depends_on)


def test_the_collector_reaches_the_master_s_counts_and_nobody_its_page() -> None:
    asked = {port["name"]: port["containerPort"] for port in container(MASTER)["ports"]}
    assert set(scrape.PORTS) & set(asked) == {scrape.METRICS_PORT}
    opened = {name: one.inputs["spec"] for (kind, name), one in asked_for().items() if kind == "NetworkPolicy"}
    let_in = [rule for spec in opened.values() for rule in spec.get("ingress", ()) if "ipBlock" in rule["from"][0]]
    assert [port["port"] for rule in let_in for port in rule["ports"]] == [asked[scrape.METRICS_PORT]]
    assert opened["metrics"]["podSelector"]["matchLabels"].items() <= labels(MASTER).items()
    assert labels(MASTER)[scrape.NAME_LABEL] in scrape.NAMES
    arguments = container(MASTER)["args"]
    assert arguments[arguments.index("--load-metrics-port") + 1] == str(asked[scrape.METRICS_PORT])


def test_pods_reach_names_their_master_the_colors_pods_and_https_and_never_the_node_s_identity() -> None:
    specs = namespaces.load_test("10.1.0.0/16")
    assert specs["default"]["podSelector"] == {}
    assert [rule["from"] for rule in specs["workers"]["ingress"]] == [[{"podSelector": {}}]]
    rules = specs["asking"]["egress"]
    assert {port["port"] for rule in rules for port in rule["ports"]} == {53, 443, namespaces.LOCUST, POD_PORT}
    (inside,) = [rule["to"] for rule in rules if rule["ports"][0]["port"] == POD_PORT]
    selected = [peer["namespaceSelector"]["matchLabels"]["kubernetes.io/metadata.name"] for peer in inside]
    assert selected == ["teal-blue", "teal-green"]
    assert rules[-1]["to"][0]["ipBlock"]["except"] == ["169.254.0.0/16"]


def test_the_price_counts_its_machines() -> None:
    assert [need.pods for need in pod_needs(load_config(VALUES, "dev", "x"), 1) if need.name == "load"] == [4]
    assert "load" not in [need.name for need in pod_needs(load_config(stack_values("dev"), "dev", "x"), 1)]


MOCK = {**VALUES, "teal:load": {"workers": 3, "image": IMAGE, "mock_model": "mock,first=900ms,rate=20"}}


@functools.cache
def platform_with_mock_model() -> Evaluation:
    return evaluate_program("teal", ROOT / "infra" / "__main__.py", "dev", MOCK)


def with_mock_model() -> dict[tuple[str, str, str], RegisteredResource]:
    """What dev registers with the mock model, by type, namespace and name in Kubernetes."""
    found = platform_with_mock_model().resources
    named = [one for one in found if one.custom and isinstance(one.inputs.get("metadata"), dict)]
    return {
        (one.type.split(":")[-1], one.inputs["metadata"].get("namespace", ""), one.inputs["metadata"]["name"]): one
        for one in named
    }


def test_the_mock_model_is_called_by_the_colors_pods_alone() -> None:
    found = with_mock_model()
    peers = [
        {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": namespace}}}
        for namespace in ("teal-blue", "teal-green")
    ]
    port = [{"port": namespaces.MOCK_MODEL, "protocol": "TCP"}]
    (rule,) = found["NetworkPolicy", NAMESPACE, "mock-model"].inputs["spec"]["ingress"]
    assert rule == {"from": peers, "ports": port}
    to_it = {"to": [{"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": NAMESPACE}}}], "ports": port}
    for color in ("teal-blue", "teal-green"):
        assert to_it in found["NetworkPolicy", color, "all"].inputs["spec"]["egress"]
    assert not any(name == "mock-model" for _, name in asked_for())


def test_pods_of_the_service_take_their_answers_from_the_mock_model() -> None:
    settings = platform_with_mock_model().outputs["app_environment"]
    assert (settings["TEAL_GENERATION"], settings["TEAL_GENERATION_MODEL"]) == ("openai", "mock,first=900ms,rate=20")
    service = with_mock_model()["Service", NAMESPACE, MOCK_MODEL]
    assert settings["TEAL_OPENAI_BASE_URL"] == f"http://{MOCK_MODEL}.{NAMESPACE}:{service.inputs['spec']['ports'][0]['port']}/v1"


@pytest.mark.parametrize(
    ("stack", "values", "fix"),
    [
        ("dev", {"teal:load": {"mock_model": "mock"}}, "set load.workers"),
        ("dev", {"teal:load": MOCK["teal:load"], "teal:models": {"generation": "some.model"}}, "remove one of the two"),
        ("prod", {"teal:load": MOCK["teal:load"]}, "remove it"),
    ],
)
def test_a_mock_model_that_nobody_calls_or_that_users_would_meet_is_refused(stack: str, values: dict[str, Any], fix: str) -> None:
    with pytest.raises(ConfigError, match=rf"teal:load\.mock_model: [^\n]+{fix}"):
        load_config({**stack_values(stack), **values}, stack, "x")


def test_every_policy_and_the_api_of_the_pinned_version_take_the_mock_model() -> None:
    kubernetes = load_config(MOCK, "dev", "x").cluster.version
    found = [one for (_, _, name), one in with_mock_model().items() if name == MOCK_MODEL]
    assert {one.type.split(":")[-1] for one in found} == {"Deployment", "Service", "NetworkPolicy"}
    for one in found:
        resource = Resource(one.type, one.name, one.inputs, one.protect, "dev")
        assert [said for rule in RULES for said in rule.check(resource)] == []
        assert validate(dict(one.inputs), kubernetes, strict=True) == kubernetes
    assert [need.pods for need in pod_needs(load_config(MOCK, "dev", "x"), 1) if need.name == "load"] == [5]
