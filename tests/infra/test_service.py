"""One color in every environment: what a release makes, and what it cannot."""

from __future__ import annotations

import functools
import json
from typing import Any

import pytest

from infra.components.load_balancer import DEREGISTRATION_SECONDS
from infra.evaluate import Evaluation, Registered
from infra.service.given import GivenError, parse
from infra.service.pods import APP_GRACE_SECONDS, PRE_STOP_SECONDS, millicores
from infra.service.policies import outside
from tests.infra import service_program

STACKS = ("dev", "staging", "prod")
COLORS: tuple[service_program.Color, ...] = ("blue", "green")


@functools.cache
def evaluated(stack: str, color: service_program.Color) -> Evaluation:
    return service_program.evaluate(stack, service_program.platform_outputs(stack), color)


@pytest.fixture(params=[(stack, color) for stack in STACKS for color in COLORS], ids="-".join)
def color(request: pytest.FixtureRequest) -> Evaluation:
    return evaluated(*request.param)


def one(result: Evaluation, kind: str) -> Registered:
    (found,) = [each for each in result.resources if each.type.endswith(f":{kind}")]
    return found


def pods(result: Evaluation) -> list[dict[str, Any]]:
    return [one(result, kind).inputs["spec"]["template"]["spec"] for kind in ("Deployment", "StatefulSet")]


def test_no_pod_can_do_more_than_a_restricted_pod(color: Evaluation) -> None:
    for pod in pods(color):
        assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        assert pod["automountServiceAccountToken"] is False
        for container in pod["containers"]:
            context = container["securityContext"]
            assert context["readOnlyRootFilesystem"]
            assert context["runAsNonRoot"]
            assert not context["allowPrivilegeEscalation"]
            assert context["capabilities"] == {"drop": ["ALL"]}


def test_every_container_has_limits_a_digest_and_probes(color: Evaluation) -> None:
    for pod in pods(color):
        for container in pod["containers"]:
            assert set(container["resources"]["limits"]) == {"cpu", "memory", "ephemeral-storage"}
            requests, limits = container["resources"]["requests"], container["resources"]["limits"]
            assert requests["memory"] == limits["memory"]
            assert millicores(limits["cpu"]) >= millicores(requests["cpu"])
            assert "@sha256:" in container["image"]
            assert {"startupProbe", "livenessProbe"} <= set(container)


def test_probes_ask_what_the_service_offers(color: Evaluation) -> None:
    from app.routes.health import router

    offered = {getattr(route, "path", None) for route in router.routes}
    (container,) = pods(color)[0]["containers"]
    asked = {container[probe]["httpGet"]["path"] for probe in ("startupProbe", "readinessProbe", "livenessProbe")}
    assert asked == {"/healthz", "/readyz"}
    assert asked <= offered


def test_every_variable_is_a_setting_of_the_service(color: Evaluation) -> None:
    from app.settings import Settings

    known = {"AWS_REGION", "ELASTICSEARCH_URL", "DATABASE_PASSWORD"} | {f"TEAL_{name.upper()}" for name in Settings.model_fields}
    for pod in pods(color):
        assert {entry["name"] for entry in pod["containers"][0]["env"]} <= known


def test_a_pod_serves_longer_than_the_load_balancer_sends(color: Evaluation) -> None:
    pod = pods(color)[0]
    assert pod["containers"][0]["lifecycle"]["preStop"]["sleep"]["seconds"] == PRE_STOP_SECONDS > 30
    assert pod["terminationGracePeriodSeconds"] == APP_GRACE_SECONDS >= PRE_STOP_SECONDS + 32


@pytest.mark.parametrize("stack", STACKS)
def test_the_platform_s_own_outputs_make_a_color(stack: str) -> None:
    from tests.infra.conftest import evaluate

    outputs = evaluate("platform", stack).outputs  # type: ignore[arg-type]
    result = service_program.evaluate(stack, outputs)
    assert DEREGISTRATION_SECONDS < PRE_STOP_SECONDS
    named = {entry["name"] for entry in pods(result)[0]["containers"][0]["env"] if "valueFrom" in entry}
    assert named - {"TEAL_SLOT", "TEAL_PROBE_SECRET"} == {name for name in outputs["app_secrets"] if name == name.upper()}


def test_the_binding_exists_before_any_pod_does(color: Evaluation) -> None:
    deployment = one(color, "Deployment")
    assert one(color, "TargetGroupBinding").urn in deployment.depends_on
    assert one(color, "Service").urn in deployment.depends_on
    assert one(color, "TargetGroupBinding").inputs["spec"]["targetType"] == "ip"


def test_pods_exist_only_behind_network_rules(color: Evaluation) -> None:
    rules = {each.urn for each in color.resources if each.type.endswith(":NetworkPolicy")}
    assert len(rules) == 4
    assert rules <= set(one(color, "Deployment").depends_on)
    assert rules <= set(one(color, "StatefulSet").depends_on)


@pytest.mark.parametrize(
    ("config", "expected"),
    [
        ({}, []),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://collector.monitoring.svc:4318"}, [4318]),
        (
            {
                "OTEL_EXPORTER_OTLP_ENDPOINT": "https://traces.example.com/otlp",
                "TEAL_OPENAI_BASE_URL": "http://vllm.models.svc/v1",
            },
            [80, 443],
        ),
    ],
)
def test_pods_may_call_the_collector_of_traces_and_the_model_that_are_configured(
    config: dict[str, str], expected: list[int]
) -> None:
    given = parse(json.dumps(service_program.record(config=config)), json.dumps(service_program.platform_outputs("dev")))
    assert outside(given) == expected


def test_everything_is_denied_that_no_rule_allows(color: Evaluation) -> None:
    specs = {each.name: each.inputs["spec"] for each in color.resources if each.type.endswith(":NetworkPolicy")}
    assert specs["deny"] == {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}
    world = [
        (rule, peer)
        for rule in specs["all"]["egress"]
        for peer in rule.get("to", [])
        if peer.get("ipBlock", {}).get("cidr") == "0.0.0.0/0"
    ]
    assert len(world) == 1  # Bedrock's address, on 443 alone, and never the node's own metadata
    assert world[0][0]["ports"] == [{"protocol": "TCP", "port": 443}]
    assert world[0][1]["ipBlock"]["except"] == ["169.254.0.0/16"]
    assert [rule["to"] for rule in specs["all"]["egress"] if {"protocol": "TCP", "port": 9200} in rule["ports"]] == [
        [{"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "search"}}}]
    ]
    for name, component, port in (("web", "app", 8080), ("worker", "worker", 9102)):
        (rule,) = specs[name]["ingress"]
        assert rule == {"from": [{"ipBlock": {"cidr": "10.40.0.0/16"}}], "ports": [{"protocol": "TCP", "port": port}]}
        assert specs[name]["podSelector"]["matchLabels"]["app.kubernetes.io/component"] == component


def test_a_color_without_models_elsewhere_reaches_no_internet() -> None:
    plain = {"TEAL_SEARCH": "elasticsearch", "ELASTICSEARCH_URL": "https://teal-es-http.search.svc:9200"}
    result = service_program.evaluate("dev", service_program.platform_outputs("dev"), config=plain)
    assert "0.0.0.0/0" not in json.dumps([dict(each.inputs) for each in result.resources if each.type.endswith(":NetworkPolicy")])


def test_autoscalers_own_the_number_of_pods(color: Evaluation) -> None:
    assert "replicas" not in one(color, "Deployment").inputs["spec"]
    assert "replicas" not in one(color, "StatefulSet").inputs["spec"]
    assert one(color, "HorizontalPodAutoscaler").inputs["spec"]["scaleTargetRef"]["name"] == "teal"
    assert one(color, "ScaledObject").inputs["spec"]["scaleTargetRef"]["name"] == "teal-worker"


@pytest.mark.parametrize(("floor", "expected"), [(0, (2, 6)), (4, (4, 6)), (9, (9, 9))])
def test_a_release_starts_with_as_many_pods_as_the_active_color_has(floor: int, expected: tuple[int, int]) -> None:
    outputs = service_program.platform_outputs("staging")
    outputs["service_defaults"] |= {"min_replicas": 2, "max_replicas": 6}
    spec = one(service_program.evaluate("staging", outputs, replica_floor=floor), "HorizontalPodAutoscaler").inputs["spec"]
    assert (spec["minReplicas"], spec["maxReplicas"]) == expected


def test_a_worker_counts_only_its_own_release_and_keeps_its_name(color: Evaluation) -> None:
    (trigger,) = one(color, "ScaledObject").inputs["spec"]["triggers"]
    assert "application_version = 'r-20261122-1'" in trigger["metadata"]["query"]
    slot = next(entry for entry in pods(color)[1]["containers"][0]["env"] if entry["name"] == "TEAL_SLOT")
    assert slot["valueFrom"]["fieldRef"]["fieldPath"] == "metadata.labels['apps.kubernetes.io/pod-index']"


def test_the_query_is_one_that_dbos_tables_answer() -> None:
    """On a database of DBOS's own making (SQLite, whose tables have no schema)."""
    import sqlite3

    from dbos._schemas.system_database import SystemSchema
    from sqlalchemy import create_engine

    from infra.service.worker import _QUERY

    engine = create_engine("sqlite://", execution_options={"schema_translate_map": {SystemSchema.metadata_obj.schema: None}})
    with engine.begin() as connection:
        SystemSchema.workflow_status.create(connection)
        raw: sqlite3.Connection = connection.connection.driver_connection  # type: ignore[assignment]
        for number, (status, release) in enumerate(
            [("ENQUEUED", "r-1"), ("PENDING", "r-1"), ("SUCCESS", "r-1"), ("ENQUEUED", "r-2")]
        ):
            raw.execute(
                "INSERT INTO workflow_status (workflow_uuid, status, application_version, queue_name, priority, created_at, updated_at)"
                " VALUES (?, ?, ?, 'ingest', 0, 0, 0)",
                (str(number), status, release),
            )
        assert raw.execute(_QUERY.format(release_id="r-1").replace("dbos.", "")).fetchone() == (2,)


def test_every_object_is_one_that_kubernetes_knows(color: Evaluation) -> None:
    import kubernetes_validate

    for each in color.resources:
        if each.type.startswith("kubernetes:") and "." not in each.inputs["apiVersion"].replace(".k8s.io", ""):
            kubernetes_validate.validate(dict(each.inputs), "1.35", strict=True)


def test_secrets_are_named_never_written(color: Evaluation) -> None:
    for pod in pods(color):
        env = {entry["name"]: entry for entry in pod["containers"][0]["env"]}
        assert env["DATABASE_PASSWORD"]["valueFrom"] == {"secretKeyRef": {"name": "teal", "key": "DATABASE_PASSWORD"}}
        assert "search-ca.crt" not in env  # a file
        assert any("csi" in volume for volume in pod["volumes"])


def test_a_new_version_of_a_secret_makes_new_pods() -> None:
    outputs = service_program.platform_outputs("dev")
    first, second = (
        one(service_program.evaluate("dev", outputs, secret_versions={"A": version}), "Deployment").inputs["spec"]["template"]
        for version in ("v1", "v2")
    )
    assert first["metadata"] != second["metadata"]
    assert first["spec"] == second["spec"]


def test_a_color_touches_its_own_namespace_and_nothing_of_aws(color: Evaluation) -> None:
    objects = [each for each in color.resources if each.type.startswith("kubernetes:")]
    assert len({each.inputs["metadata"]["namespace"] for each in objects}) == 1
    assert not [each for each in color.resources if each.type.startswith("aws:")]
    assert color.outputs["namespace"] == objects[0].inputs["metadata"]["namespace"]


def test_the_release_role_may_do_what_a_release_does_and_no_more(color: Evaluation) -> None:
    from infra.components.colors import RELEASE_RULES

    granted = {(group, name) for rule in RELEASE_RULES for group in rule["api_groups"] for name in rule["resources"]}  # type: ignore[union-attr, typeddict-item]
    for each in color.resources:
        if each.type.startswith("kubernetes:"):
            group = each.inputs["apiVersion"].rpartition("/")[0]
            plural = each.inputs["kind"].lower() + ("es" if each.inputs["kind"].endswith("s") else "s")
            plural = plural.replace("policys", "policies")
            assert (group, plural) in granted
    assert not {name for _, name in granted} & {"secrets", "roles", "rolebindings", "namespaces", "serviceaccounts", "nodes"}


def test_what_does_not_make_a_color_is_refused_with_its_keys() -> None:
    record = service_program.record(image="teal:latest", release_id="'; drop", replica_floor=-1)
    with pytest.raises(GivenError) as raised:
        parse(json.dumps(record), json.dumps({}))
    for key in ("record.image", "record.release_id", "record.replica_floor", "platform.vpc_cidr", "teal release"):
        assert key in str(raised.value)
