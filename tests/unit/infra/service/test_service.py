"""One color in every environment: what a release makes, and what it cannot."""

from __future__ import annotations

import functools
import json
import sqlite3
from typing import Any

import pytest
from dbos._schemas.system_database import SystemSchema  # asks a process about this machine when it is loaded
from sqlalchemy import create_engine

from app.settings import Settings
from contract.http import DEREGISTRATION_SECONDS
from contract.jobs import count_waiting
from contract.quantities import millicores
from infra.evaluation.evaluate import Evaluation, RegisteredResource
from infra.service.inputs import InputError, parse_inputs
from infra.service.pods import APP_GRACE_SECONDS, PRE_STOP_SECONDS
from tests.unit.infra import service_program
from tests.unit.infra.conftest import STACKS

COLORS: tuple[service_program.Color, ...] = ("blue", "green")


@functools.cache
def evaluated(stack: str, color: service_program.Color) -> Evaluation:
    return service_program.evaluate(stack, service_program.platform_outputs(stack), color)


@pytest.fixture(params=[(stack, color) for stack in STACKS for color in COLORS], ids="-".join)
def color(request: pytest.FixtureRequest) -> Evaluation:
    return evaluated(*request.param)


def one(result: Evaluation, kind: str) -> RegisteredResource:
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
    from app.http.routes.health import router

    offered = {getattr(route, "path", None) for route in router.routes}
    (container,) = pods(color)[0]["containers"]
    asked = {container[probe]["httpGet"]["path"] for probe in ("startupProbe", "readinessProbe", "livenessProbe")}
    assert asked == {"/healthz", "/readyz"}
    assert asked <= offered


def test_a_lost_question_to_the_clusters_names_is_asked_again_within_a_searchs_deadline(color: Evaluation) -> None:
    for pod in pods(color):
        options = {each["name"]: float(each["value"]) for each in pod["dnsConfig"]["options"]}
        assert options["timeout"] < Settings.model_fields["search_timeout_seconds"].default
        assert options["attempts"] > 1


def test_every_variable_is_a_setting_of_the_service(color: Evaluation) -> None:
    known = {"AWS_REGION", "ELASTICSEARCH_URL", "DATABASE_PASSWORD"} | {f"TEAL_{name.upper()}" for name in Settings.model_fields}
    for pod in pods(color):
        assert {entry["name"] for entry in pod["containers"][0]["env"]} <= known


def test_a_pod_serves_longer_than_the_load_balancer_sends(color: Evaluation) -> None:
    pod = pods(color)[0]
    assert pod["containers"][0]["lifecycle"]["preStop"]["sleep"]["seconds"] == PRE_STOP_SECONDS > 30
    assert pod["terminationGracePeriodSeconds"] == APP_GRACE_SECONDS >= PRE_STOP_SECONDS + 32


@pytest.mark.parametrize("stack", STACKS)
def test_the_platform_s_own_outputs_make_a_color(stack: str) -> None:
    from tests.unit.infra.conftest import evaluate

    outputs = evaluate("platform", stack).outputs  # type: ignore[arg-type]
    result = service_program.evaluate(stack, outputs)
    assert DEREGISTRATION_SECONDS < PRE_STOP_SECONDS
    named = {entry["name"] for entry in pods(result)[0]["containers"][0]["env"] if "valueFrom" in entry}
    assert named - {"TEAL_SLOT", "TEAL_PROBE_SECRET"} == {name for name in outputs["app_secrets"] if name == name.upper()}


def test_pods_that_never_get_ready_are_waited_for_as_long_as_a_slow_start_takes_and_not_longer(color: Evaluation) -> None:
    from infra.platform.ingress.load_balancer import HEALTH_INTERVAL_SECONDS, HEALTHY_AFTER

    for kind in ("Deployment", "StatefulSet"):
        made = one(color, kind)
        probe = made.inputs["spec"]["template"]["spec"]["containers"][0]["startupProbe"]
        starting, waited = probe["periodSeconds"] * probe["failureThreshold"], int(made.timeouts["create"].removesuffix("s"))
        # A machine of Auto Mode takes 120 s; a second start, and the load balancer's checks, are waited for.
        assert 120 + 2 * starting + HEALTHY_AFTER * HEALTH_INTERVAL_SECONDS < waited < 500
    assert one(color, "Deployment").inputs["spec"]["progressDeadlineSeconds"] == waited


def test_the_binding_exists_before_any_pod_does(color: Evaluation) -> None:
    deployment = one(color, "Deployment")
    assert one(color, "TargetGroupBinding").urn in deployment.depends_on
    assert one(color, "Service").urn in deployment.depends_on
    assert one(color, "TargetGroupBinding").inputs["spec"]["targetType"] == "ip"


def test_a_release_brings_no_network_rule_of_its_own(color: Evaluation) -> None:
    assert not [each for each in color.resources if each.type.endswith(":NetworkPolicy")]


def test_autoscalers_own_the_number_of_pods(color: Evaluation) -> None:
    assert "replicas" not in one(color, "Deployment").inputs["spec"]
    assert "replicas" not in one(color, "StatefulSet").inputs["spec"]
    assert one(color, "HorizontalPodAutoscaler").inputs["spec"]["scaleTargetRef"]["name"] == "teal"
    assert one(color, "ScaledObject").inputs["spec"]["scaleTargetRef"]["name"] == "teal-worker"


def test_an_up_takes_back_the_minimum_that_a_release_has_changed(color: Evaluation) -> None:
    """By server-side apply a field of another owner is refused otherwise; with the real provider in tests/engine/test_kubernetes_service.py."""
    assert one(color, "HorizontalPodAutoscaler").inputs["metadata"]["annotations"] == {"pulumi.com/patchForce": "true"}


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


def test_workers_stay_as_many_while_their_number_cannot_be_asked(color: Evaluation) -> None:
    assert one(color, "ScaledObject").inputs["spec"]["fallback"]["behavior"] == "currentReplicasIfHigher"


def test_the_query_is_one_that_dbos_tables_answer() -> None:
    """On a database of DBOS's own making (SQLite, whose tables have no schema)."""
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
        assert raw.execute(count_waiting("r-1").replace("dbos.", "")).fetchone() == (2,)


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


def test_a_color_touches_its_own_namespace_and_the_operator_s_and_nothing_of_aws(color: Evaluation) -> None:
    objects = {
        each.inputs["kind"]: each.inputs["metadata"]["namespace"]
        for each in color.resources
        if each.type.startswith("kubernetes:")
    }
    assert objects.pop("CronJob") == "teal-operator"
    assert len(set(objects.values())) == 1
    assert not [each for each in color.resources if each.type.startswith("aws:")]
    assert color.outputs["namespace"] == objects["Deployment"]


def test_the_release_role_may_do_what_a_release_does_and_no_more(color: Evaluation) -> None:
    from infra.platform.cluster.colors import OPERATOR_RULES, RELEASE_RULES

    def may(rules: Any) -> set[tuple[str, str]]:
        return {(group, name) for rule in rules for group in rule["api_groups"] for name in rule["resources"]}

    for each in color.resources:
        if each.type.startswith("kubernetes:"):
            granted = may(OPERATOR_RULES if each.inputs["metadata"]["namespace"] == "teal-operator" else RELEASE_RULES)
            group = each.inputs["apiVersion"].rpartition("/")[0]
            plural = each.inputs["kind"].lower() + ("es" if each.inputs["kind"].endswith("s") else "s")
            plural = plural.replace("policys", "policies")
            assert (group, plural) in granted
    names = {name for _, name in may([*RELEASE_RULES, *OPERATOR_RULES])}
    assert not names & {"secrets", "roles", "rolebindings", "namespaces", "serviceaccounts", "nodes", "networkpolicies"}
    assert not names & {"pods/exec", "pods/attach", "pods/portforward", "pods/ephemeralcontainers", "secretproviderclasses"}


def test_what_does_not_make_a_color_is_refused_with_its_keys() -> None:
    record = service_program.record(image="teal:latest", release_id="'; drop", replica_floor=-1)
    with pytest.raises(InputError) as raised:
        parse_inputs(json.dumps(record), json.dumps({}))
    for key in ("record.image", "record.release_id", "record.replica_floor", "platform.vpc_cidr", "teal release"):
        assert key in str(raised.value)
