"""Admin commands on AWS: what Job is made, how its log becomes an answer, what its failures say. No cluster: see docs/proof.md."""

from __future__ import annotations

import base64
import json
from typing import Any
from urllib.parse import parse_qs, urlsplit

import boto3
import httpx
import kubernetes_validate
import pytest
import stamina

from contract.pods import DNS_CONFIG
from teal.aws.jobs import JobSettings, manifest, run_admin_job
from teal.aws.kubernetes import EksToken, KubernetesClient, KubernetesFailed
from teal.errors import AdminFailed
from teal.record.model import ColorState
from tests.services.cluster_server import ClusterServer
from tests.unit.infra.conftest import evaluate, of_type

STATE = ColorState(
    release_id="r-7", image=f"registry.example/teal@sha256:{'a' * 64}", config={"TEAL_SEARCH": "elasticsearch"}, index="passages-2",
    schema_min="0001", schema_max="0002", replica_floor=3,
)  # fmt: skip
SETTINGS = JobSettings("teal-green", "prod", "eu-central-1", ("DATABASE_URL", "search-ca.pem"), "500m", 1024)
COMPLETE = [{"type": "Complete", "status": "True"}]
FAILED = [{"type": "Failed", "status": "True"}]


def no_sleep(_seconds: float) -> None:
    return


def made(*arguments: str) -> dict[str, Any]:
    return manifest("admin-1", "green", STATE, SETTINGS, arguments)


def test_a_job_is_a_valid_object_of_the_cluster_s_version() -> None:
    from infra.config.sections import ClusterConfig

    kubernetes_validate.validate(made("schema"), ClusterConfig.model_fields["version"].default, strict=True)


def test_a_job_runs_the_color_s_own_image_with_its_whole_configuration() -> None:
    (container,) = made("jobs", "left", "--release", "r-7")["spec"]["template"]["spec"]["containers"]
    assert container["image"] == STATE.image
    assert container["args"] == ["python3", "-m", "app.admin", "jobs", "left", "--release", "r-7"]
    values = {each["name"]: each.get("value") for each in container["env"]}
    assert values["TEAL_SEARCH"] == "elasticsearch"
    assert (values["TEAL_INDEX"], values["TEAL_RELEASE_ID"], values["TEAL_COLOR"]) == ("passages-2", "r-7", "green")


def test_secrets_are_named_and_never_held() -> None:
    (container,) = made("schema")["spec"]["template"]["spec"]["containers"]
    (secret,) = [each for each in container["env"] if "valueFrom" in each]
    assert secret == {"name": "DATABASE_URL", "valueFrom": {"secretKeyRef": {"name": "teal", "key": "DATABASE_URL"}}}


def test_a_job_passes_the_namespace_s_restricted_level_and_its_network_rules() -> None:
    template = made("schema")["spec"]["template"]
    pod, (container,) = template["spec"], template["spec"]["containers"]
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert container["securityContext"]["capabilities"] == {"drop": ["ALL"]}
    assert container["securityContext"]["allowPrivilegeEscalation"] is False
    assert template["metadata"]["labels"]["app.kubernetes.io/name"] == "teal"


def test_a_job_asks_for_names_as_the_colors_pods_do() -> None:
    assert made("schema")["spec"]["template"]["spec"]["dnsConfig"] == DNS_CONFIG


@pytest.mark.parametrize(("command", "account"), [("restore", "teal-operator"), ("index", "teal"), ("schema", "teal")])
def test_what_a_job_mounts_and_runs_as_is_in_the_namespace_that_it_runs_in(command: str, account: str) -> None:
    """The evaluated platform has the service account, its role, and a class that keeps the Secret that the variables come from."""
    platform = evaluate("platform", "prod")
    names = tuple(platform.outputs["app_secrets"])
    for color, own in platform.outputs["namespaces"].items():
        settings = JobSettings(own, "prod", "eu-central-1", names, "500m", 1024, platform.outputs["operator_namespace"])
        namespace = settings.place(command)
        pod = manifest("admin-1", color, STATE, settings, (command, "x"))["spec"]["template"]["spec"]
        assert pod["serviceAccountName"] == account
        assert {"name": account, "namespace": namespace} in [
            each.inputs["metadata"] for each in of_type(platform, "kubernetes:core/v1:ServiceAccount")
        ]
        assert (namespace, account) in [
            (each.inputs["namespace"], each.inputs["serviceAccount"])
            for each in of_type(platform, "aws:eks/podIdentityAssociation:PodIdentityAssociation")
        ]
        mounted = pod["volumes"][2]["csi"]["volumeAttributes"]["secretProviderClass"]
        (shown,) = [
            each.inputs["spec"]
            for each in platform.resources
            if each.type.endswith(":SecretProviderClass") and each.inputs["metadata"] == {"name": mounted, "namespace": namespace}
        ]
        (copied,) = shown["secretObjects"]
        asked = [each["valueFrom"]["secretKeyRef"] for each in pod["containers"][0]["env"] if "valueFrom" in each]
        assert {each["name"] for each in asked} == {copied["secretName"]}
        assert {each["key"] for each in asked} <= {each["key"] for each in copied["data"]}


def test_building_an_index_may_take_hours_and_nothing_else_may() -> None:
    assert made("index", "build")["spec"]["activeDeadlineSeconds"] == 6 * 3600
    assert made("migrate", "--expand")["spec"]["activeDeadlineSeconds"] == 1800


def test_the_answer_is_the_log_s_json_lines_without_the_service_s_own_log() -> None:
    log = '{"logger": "alembic", "message": "x"}\nplain words\n{"left": 2}\n'
    server = ClusterServer(lambda _: (COMPLETE, log, {}))
    assert run_admin_job(server.cluster(), "green", STATE, SETTINGS, ("jobs", "left"), no_sleep) == [{"left": 2}]


def test_the_job_is_removed_whether_it_succeeded_or_not() -> None:
    for conditions in (COMPLETE, FAILED):
        server = ClusterServer(lambda _, found=conditions: (found, "{}", {}))  # type: ignore[misc]
        try:
            run_admin_job(server.cluster(), "green", STATE, SETTINGS, ("schema",), no_sleep)
        except AdminFailed:
            assert conditions is FAILED
        assert not [path for path in server.objects if "/jobs/" in path]


def test_a_failed_command_speaks_in_its_own_words() -> None:
    said = json.dumps({"error": {"code": "contract", "detail": "0003 is a contract revision", "action": "teal release first"}})
    ended = {"containerStatuses": [{"state": {"terminated": {"exitCode": 2}}}]}
    server = ClusterServer(lambda _: (FAILED, said, ended))
    with pytest.raises(AdminFailed, match="0003 is a contract revision") as caught:
        run_admin_job(server.cluster(), "green", STATE, SETTINGS, ("migrate", "--expand"), no_sleep)
    assert (caught.value.code, caught.value.next, caught.value.exit_code) == ("contract", "teal release first", 2)


def test_a_pod_that_never_started_says_why() -> None:
    status = {"containerStatuses": [{"state": {"waiting": {"reason": "ImagePullBackOff", "message": "not found"}}}]}
    server = ClusterServer(lambda _: (FAILED, "", status))
    with pytest.raises(AdminFailed, match="ImagePullBackOff: not found"):
        run_admin_job(server.cluster(), "green", STATE, SETTINGS, ("schema",), no_sleep)


def test_a_pod_that_cannot_start_is_given_up_after_two_minutes_and_its_job_is_removed() -> None:
    """Its deadline is half an hour away, and would take the pod's reason with it."""
    slept: list[float] = []
    status = {"containerStatuses": [{"state": {"waiting": {"reason": "ErrImagePull", "message": "no such digest"}}}]}
    server = ClusterServer(lambda _: ([], "", status))
    with pytest.raises(AdminFailed, match="ErrImagePull: no such digest") as caught:
        run_admin_job(server.cluster(), "green", STATE, SETTINGS, ("schema",), slept.append)
    assert (caught.value.code, sum(slept)) == ("job-stuck", 120.0)
    assert not [path for path in server.objects if "/jobs/" in path]


def _mount_fails(_: dict[str, Any]) -> tuple[list[dict[str, str]], str, dict[str, Any]]:
    return [], '{"ok": 1}', {"containerStatuses": [{"state": {"waiting": {"reason": "ContainerCreating"}}}]}


def _with_event(server: ClusterServer, message: str) -> None:
    event = {"reason": "FailedMount", "message": message, "metadata": {"creationTimestamp": "2026-11-30T06:00:00Z"}}
    server.objects["/api/v1/namespaces/teal-green/events"] = {"items": [event]}


def test_a_secret_that_a_pod_does_not_get_is_named_after_four_minutes() -> None:
    """Its status says ContainerCreating and nothing else, for the half hour until the Job's deadline."""
    slept: list[float] = []
    server = ClusterServer(_mount_fails)
    _with_event(
        server, "Failed fetching secret arn:aws:secretsmanager:eu-central-1:1:secret:teal-dev/cache-x: AccessDeniedException"
    )
    with pytest.raises(AdminFailed, match="teal-dev/cache-x: AccessDeniedException") as caught:
        run_admin_job(server.cluster(), "green", STATE, SETTINGS, ("schema",), slept.append)
    assert (caught.value.code, sum(slept)) == ("job-stuck", 242.0)
    assert "pods-pending.md" in caught.value.next


def test_a_pod_whose_secrets_come_late_has_the_whole_patience_for_what_follows() -> None:
    server = ClusterServer(_mount_fails)
    _with_event(server, "the agent of Pod Identity is not up")
    waiting = {"containerStatuses": [{"state": {"waiting": {"reason": "CreateContainerConfigError", "message": "not found"}}}]}
    slept: list[float] = []

    def sleep(seconds: float) -> None:
        slept.append(seconds)
        (path,) = [path for path in server.objects if path.endswith("/pods")]
        (job,) = [path for path in server.objects if "/jobs/" in path]
        if sum(slept) == 200.0:
            server.objects[path]["items"][0]["status"] = waiting
        if sum(slept) == 310.0:
            server.objects[job]["status"] = {"conditions": COMPLETE}

    assert run_admin_job(server.cluster(), "green", STATE, SETTINGS, ("schema",), sleep) == [{"ok": 1}]


def test_a_pod_that_starts_late_is_waited_for() -> None:
    waiting = {
        "containerStatuses": [{"state": {"waiting": {"reason": "CreateContainerConfigError", "message": "secret not found"}}}]
    }
    server = ClusterServer(lambda _: ([], '{"ok": 1}', waiting))
    slept: list[float] = []

    def sleep(seconds: float) -> None:
        slept.append(seconds)
        if sum(slept) == 100.0:
            (path,) = [path for path in server.objects if "/jobs/" in path]
            server.objects[path]["status"] = {"conditions": COMPLETE}

    assert run_admin_job(server.cluster(), "green", STATE, SETTINGS, ("schema",), sleep) == [{"ok": 1}]


def test_an_api_server_that_is_replaced_meanwhile_is_waited_for() -> None:
    server = ClusterServer(lambda _: (COMPLETE, '{"ok": 1}', {}))
    server.failures = [503] * 10
    with stamina.set_testing(True, attempts=6):
        assert run_admin_job(server.cluster(), "green", STATE, SETTINGS, ("schema",), no_sleep) == [{"ok": 1}]


def test_an_api_server_that_stays_away_ends_the_wait() -> None:
    server = ClusterServer(lambda _: (COMPLETE, "{}", {}))
    server.failures = [503] * 50
    with stamina.set_testing(True, attempts=1), pytest.raises(KubernetesFailed, match="the server is starting"):
        run_admin_job(server.cluster(), "green", STATE, SETTINGS, ("schema",), no_sleep)


def test_one_answer_that_is_lost_is_asked_for_again_and_nothing_is_made_twice() -> None:
    server = ClusterServer(lambda _: (COMPLETE, "{}", {}))
    server.failures = [503, 429]
    with stamina.set_testing(True, attempts=3):
        assert server.cluster().deployment("teal-blue", "teal") is None
    assert len(server.requests) == 3
    asked: list[str] = []

    def away(request: httpx.Request) -> httpx.Response:
        asked.append(request.method)
        raise httpx.ConnectError("nobody", request=request)

    cluster = KubernetesClient(httpx.Client(transport=httpx.MockTransport(away), base_url="https://c.example"), "teal-prod")
    with stamina.set_testing(True, attempts=3):
        for call in (lambda: cluster.job("teal-blue", "x"), lambda: cluster.create_job("teal-blue", {})):
            with pytest.raises(KubernetesFailed, match="nobody"):
                call()
    assert asked == ["GET", "GET", "GET", "POST"]


def test_an_answer_counts_also_when_its_job_could_not_be_removed() -> None:
    server = ClusterServer(lambda _: (COMPLETE, '{"left": 0}', {}))
    inner = server.answer

    def keeps(request: httpx.Request) -> httpx.Response:
        return httpx.Response(403, json={"message": "no"}) if request.method == "DELETE" else inner(request)

    cluster = KubernetesClient(httpx.Client(transport=httpx.MockTransport(keeps), base_url="https://c.example"), "teal-prod")
    assert run_admin_job(cluster, "green", STATE, SETTINGS, ("jobs", "left"), no_sleep) == [{"left": 0}]


def test_a_refusal_names_the_call_and_what_to_look_at() -> None:
    refused = httpx.MockTransport(lambda _: httpx.Response(403, json={"message": "jobs.batch is forbidden"}))
    with pytest.raises(KubernetesFailed, match="forbidden") as caught:
        KubernetesClient(httpx.Client(transport=refused, base_url="https://c.example"), "teal-prod").job("teal-blue", "x")
    assert "teal-prod" in caught.value.where
    assert caught.value.next == "aws sts get-caller-identity"


def test_a_token_is_a_signed_question_who_i_am_for_this_cluster_only() -> None:
    session = boto3.Session("AKIAEXAMPLE", "secret", "session", region_name="eu-central-1")  # pragma: allowlist secret
    times = iter([0.0, 0.0, 300.0, 700.0, 700.0])
    auth = EksToken(session, "teal-prod", "eu-central-1", lambda: next(times))
    tokens = [next(auth.auth_flow(httpx.Request("GET", "https://c.example"))).headers["Authorization"] for _ in range(3)]
    kind, _, text = tokens[0].removeprefix("Bearer ").partition(".")
    url = urlsplit(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)).decode())
    query = parse_qs(url.query)
    assert (kind, url.scheme, url.netloc) == ("k8s-aws-v1", "https", "sts.eu-central-1.amazonaws.com")
    assert query["Action"] == ["GetCallerIdentity"]
    assert query["X-Amz-SignedHeaders"] == ["host;x-k8s-aws-id"]
    assert query["X-Amz-Expires"] == ["60"]
    assert len(query["X-Amz-Signature"][0]) == 64
    assert tokens[0] == tokens[1], "a token is used for ten minutes"
