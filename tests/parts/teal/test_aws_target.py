"""An environment on AWS as a place to release to: put together from the platform's outputs, against moto."""

from __future__ import annotations

import hashlib
import json
import ssl
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest

import teal.aws.platform
from teal.aws.images import RegistryImages
from teal.aws.platform import Platform, StateAway, read_platform
from teal.aws.release_key import ProbeHeaders
from teal.aws.runtime import PulumiRuntime, ServiceProgram
from teal.aws.target import assemble, job_settings
from teal.aws.target import aws as aws_target
from teal.errors import BadInput, NeedsHuman
from teal.ports.traffic import Weights
from teal.record.model import ColorState, Record, ReleaseUnderway
from tests.services import aws_server
from tests.services.aws_server import AwsServer
from tests.services.cluster_server import ClusterServer

STATE = ColorState(release_id="r-1", image="i", index="teal", schema_min="0001", schema_max="0002", replica_floor=2)


@pytest.fixture(scope="module")
def aws() -> Iterator[AwsServer]:
    with aws_server.start() as server:
        yield server


@pytest.fixture(scope="module")
def outputs(aws: AwsServer) -> dict[str, Any]:
    """The platform's outputs, of things that moto really has."""
    balancer = aws_server.load_balancer(aws, "target")
    secrets = aws.client("secretsmanager")
    arns = {
        name: secrets.create_secret(Name=name, SecretString=f"value-of-{name}")["ARN"] for name in ("blue", "green", "database")
    }
    aws.client("s3").create_bucket(
        Bucket="teal-test-releases", CreateBucketConfiguration={"LocationConstraint": aws_server.REGION}
    )
    repository = aws.client("ecr").create_repository(repositoryName="teal-test")["repository"]["repositoryUri"]
    return {
        "region": aws_server.REGION,
        "account_id": "123456789012",
        "environment": "dev",
        "cluster": {"name": "teal-test", "endpoint": "https://cluster.example", "ca_data": _authority()},
        "url": "https://teal.example",
        "listener_arn": balancer.listener_arn,
        "rule_arn": balancer.rule_arn,
        "target_group_arns": balancer.target_group_arns,
        "probe_header": "x-teal-probe",
        "probe_secret_arns": {"blue": arns["blue"], "green": arns["green"]},
        "namespaces": {"blue": "teal-blue", "green": "teal-green"},
        "repository_url": repository,
        "release_bucket": "teal-test-releases",
        "app_environment": {"ELASTICSEARCH_URL": "https://search.example:9200", "TEAL_INDEX": "passages"},
        "app_secrets": {"DATABASE_URL": {"secret_arn": arns["database"], "key": "url"}},
        "prometheus_query_url": "https://aps.example/w/api/v1/query",
        "operator_namespace": "teal-operator",
        "vpc_cidr": "10.0.0.0/16",
        "service_defaults": {"cpu": "500m", "memory_mib": 1024, "min_replicas": 3, "max_replicas": 9},
    }


@pytest.fixture
def platform(outputs: dict[str, Any], tmp_path: Path) -> Platform:
    file = tmp_path / "outputs.json"
    file.write_text(json.dumps(outputs), encoding="utf-8")
    return read_platform("dev", tmp_path, {"TEAL_PLATFORM_OUTPUTS": str(file)})


def test_a_target_moves_real_traffic_keeps_a_real_record_and_knows_the_way_in(
    aws: AwsServer, platform: Platform, tmp_path: Path
) -> None:
    session = boto3.Session("testing", "testing", region_name=aws_server.REGION)
    service = ServiceProgram(tmp_path, tmp_path, tmp_path)
    target = assemble("dev", platform, session, service, "k1", client=aws.client)
    target.traffic.set(Weights(95, 5))
    assert target.traffic.read() == Weights(95, 5)
    record, stamp = target.store.read()
    target.store.write(record.model_copy(update={"generation": 1}), expected=stamp)
    assert target.store.read()[0].generation == 1
    assert target.traffic.entry("green").headers == {"x-teal-probe": "value-of-green"}
    assert dict(target.probe_headers) == {"Authorization": "Bearer k1"}
    assert target.rules.least_processes == 3


def test_the_color_s_program_is_handed_all_outputs(outputs: dict[str, Any], platform: Platform) -> None:
    assert json.loads(platform.document) == outputs


def test_a_platform_that_is_not_built_is_said_with_the_command_that_builds_it(outputs: dict[str, Any], tmp_path: Path) -> None:
    file = tmp_path / "outputs.json"
    file.write_text(
        json.dumps({name: value for name, value in outputs.items() if name not in ("rule_arn", "url")}), encoding="utf-8"
    )
    with pytest.raises(BadInput, match="rule_arn, url") as caught:
        read_platform("prod", tmp_path, {"TEAL_PLATFORM_OUTPUTS": str(file)})
    assert caught.value.next == "teal plan prod && pulumi up --stack prod"


def test_a_missing_pulumi_is_said_before_anything_else(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="Pulumi command is not installed"):
        read_platform("prod", tmp_path, {"PATH": str(tmp_path)})


def _pulumi(folder: Path, script: str) -> dict[str, str]:
    command = folder / "bin" / "pulumi"
    command.parent.mkdir(exist_ok=True)
    command.write_text(f"#!/bin/sh\n{script}\n", encoding="utf-8")
    command.chmod(0o755)
    return {"PATH": f"{command.parent}:/usr/bin:/bin"}


def test_a_rollback_works_while_the_state_does_not_answer_once_the_outputs_were_read(
    outputs: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    state = {"deployment": {"resources": [{"type": "pulumi:pulumi:Stack", "outputs": outputs}]}}
    (tmp_path / "state.json").write_text(json.dumps(state), encoding="utf-8")
    away = "echo 'error: no route to the bucket' >&2; exit 255"
    with pytest.raises(StateAway, match="no route to the bucket"):
        read_platform("dev", tmp_path, _pulumi(tmp_path, away))
    first = read_platform("dev", tmp_path, _pulumi(tmp_path, f"cat {tmp_path}/state.json"))
    assert read_platform("dev", tmp_path, _pulumi(tmp_path, away)) == first
    monkeypatch.setattr(teal.aws.platform, "EXPORT_SECONDS", 0.2)
    assert read_platform("dev", tmp_path, _pulumi(tmp_path, "exec sleep 60")) == first
    assert read_platform("dev", tmp_path, {"PATH": str(tmp_path)}) == first, "without the command too: it makes nothing here"


def test_a_stack_without_a_platform_names_what_is_missing(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="rule_arn"):
        read_platform("dev", tmp_path, _pulumi(tmp_path, "echo '{\"deployment\": {}}'"))


def test_what_the_platform_program_exports_is_what_a_release_reads(tmp_path: Path) -> None:
    from tests.unit.infra.conftest import evaluate

    file = tmp_path / "outputs.json"
    file.write_text(json.dumps(evaluate("platform", "prod").outputs), encoding="utf-8")
    found = read_platform("prod", tmp_path, {"TEAL_PLATFORM_OUTPUTS": str(file)})
    assert (found.environment, found.service_defaults.min_replicas) == ("prod", 3)
    assert job_settings(found, "blue").namespace == "teal-blue"


def test_an_image_is_found_by_tag_or_digest_and_says_itself_which_schema_it_serves(aws: AwsServer, platform: Platform) -> None:
    digest = _pushed(aws, "v7")
    images, asked = _images(aws, platform)
    for name in ("v7", digest, f"{platform.repository_url}@{digest}", f"{platform.repository_url}:v7"):
        found = images.known(name)
        assert found.id == f"{platform.repository_url}@{digest}"
        assert (found.label, found.schema_min, found.schema_max) == ("v7", "0001", "0003")
    assert {state.image for state in asked} == {f"{platform.repository_url}@{digest}"}


@pytest.mark.parametrize("name", ["nothing", f"sha256:{'0' * 64}"])
def test_an_image_that_is_not_there_is_bad_input(aws: AwsServer, platform: Platform, name: str) -> None:
    with pytest.raises(BadInput, match="There is no image"):
        _images(aws, platform)[0].known(name)


def test_a_laptop_builds_no_image_for_aws(aws: AwsServer, platform: Platform, tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="release workflow"):
        _images(aws, platform)[0].build(tmp_path, None)


def test_a_color_is_given_versions_of_secrets_and_no_values(aws: AwsServer, platform: Platform) -> None:
    images, _ = _images(aws, platform)
    (arn,) = images.secret_versions()
    assert len(images.secret_versions()[arn]) == 36
    assert "value-of" not in json.dumps({**images.secret_versions(), **images.config()})
    assert ("TEAL_INDEX" in images.config(), images.index()) == (False, "passages")


def test_a_key_for_probes_is_made_once_by_the_color_being_released_and_ends_by_itself() -> None:
    from datetime import UTC, datetime

    calls: list[tuple[str, ...]] = []

    def admin(_state: ColorState, color: str, *arguments: str) -> list[dict[str, Any]]:
        calls.append((color, *arguments))
        return [{"id": "1", "key": "made"}]

    underway = ReleaseUnderway(id="r-1", target="green", step="golden", phase="Progressing", started_at=datetime.now(UTC))
    headers = ProbeHeaders(lambda: Record(active="blue", blue=STATE, green=STATE, release=underway), admin, None)
    assert [dict(headers), dict(headers)] == [{"Authorization": "Bearer made"}] * 2
    assert len(calls) == 1
    assert calls[0][:5] == ("green", "keys", "create", "--role", "writer")
    until = datetime.fromisoformat(calls[0][calls[0].index("--expires-at") + 1])
    assert 0 < (until - datetime.now(UTC)).total_seconds() <= 6 * 3600


def test_without_any_color_no_key_can_be_made() -> None:
    with pytest.raises(NeedsHuman):
        dict(ProbeHeaders(Record, lambda *_: [], None))


def _runtime(aws: AwsServer, platform: Platform, server: ClusterServer, tmp_path: Path) -> PulumiRuntime:
    settings = {color: job_settings(platform, color) for color in platform.namespaces}
    service = ServiceProgram(tmp_path, tmp_path, tmp_path)
    return PulumiRuntime(
        "dev", service, platform.document, server.cluster(), aws.client("elbv2"), platform.target_group_arns, settings
    )


def _deployed(server: ClusterServer, *, wanted: int, ready: int, seen: int = 2) -> None:
    server.objects["/apis/apps/v1/namespaces/teal-green/deployments/teal"] = {
        "metadata": {"generation": 2},
        "spec": {"replicas": wanted},
        "status": {"observedGeneration": seen, "replicas": wanted, "readyReplicas": ready, "updatedReplicas": wanted},
    }


def test_a_color_is_ready_when_cluster_and_load_balancer_both_say_so(aws: AwsServer, platform: Platform, tmp_path: Path) -> None:
    server = ClusterServer()
    runtime = _runtime(aws, platform, server, tmp_path)
    assert (runtime.readiness("green").wanted, runtime.replicas("green")) == (0, 0)
    _deployed(server, wanted=2, ready=2)
    assert runtime.readiness("green").ready == 0, "no target is registered yet"
    targets = [{"Id": f"10.0.0.{index}", "Port": 8080} for index in (4, 5)]
    aws.client("elbv2").register_targets(TargetGroupArn=platform.target_group_arns["green"], Targets=targets)
    assert runtime.readiness("green").complete
    assert runtime.replicas("green") == 2
    _deployed(server, wanted=3, ready=3)
    assert (runtime.readiness("green").ready, runtime.readiness("green").complete) == (2, False)


def _autoscaled(server: ClusterServer, least: int, most: int) -> dict[str, Any]:
    made: dict[str, Any] = {"spec": {"minReplicas": least, "maxReplicas": most}}
    server.objects["/apis/autoscaling/v2/namespaces/teal-green/horizontalpodautoscalers/teal"] = made
    return made


def test_a_color_whose_autoscaler_has_not_looked_yet_is_not_ready_with_its_first_pod(
    aws: AwsServer, platform: Platform, tmp_path: Path
) -> None:
    server = ClusterServer()
    runtime = _runtime(aws, platform, server, tmp_path)
    _deployed(server, wanted=1, ready=1)
    _autoscaled(server, 3, 10)
    arn = platform.target_group_arns["green"]
    aws.client("elbv2").register_targets(TargetGroupArn=arn, Targets=[{"Id": "10.0.0.4", "Port": 8080}])
    assert (runtime.readiness("green").ready, runtime.readiness("green").wanted) == (1, 3)


def test_a_color_s_minimum_is_its_autoscaler_s_and_never_above_the_most(
    aws: AwsServer, platform: Platform, tmp_path: Path
) -> None:
    server = ClusterServer()
    runtime = _runtime(aws, platform, server, tmp_path)
    runtime.keep_at_least("green", 3)  # it does not run
    made = _autoscaled(server, 2, 6)
    for wanted, held in ((5, 5), (9, 6), (2, 2)):
        runtime.keep_at_least("green", wanted)
        assert made["spec"] == {"minReplicas": held, "maxReplicas": 6}


def test_what_keeps_a_color_from_being_ready_is_named(aws: AwsServer, platform: Platform, tmp_path: Path) -> None:
    server = ClusterServer()
    _deployed(server, wanted=2, ready=0)
    waiting = {"containerStatuses": [{"state": {"waiting": {"reason": "ErrImagePull", "message": "no such tag"}}}]}
    server.objects["/api/v1/namespaces/teal-green/pods"] = {"items": [{"status": waiting}, {"status": waiting}]}
    assert _runtime(aws, platform, server, tmp_path).readiness("green").reason == "ErrImagePull: no such tag"
    _deployed(server, wanted=2, ready=2, seen=1)
    assert "has not seen" in _runtime(aws, platform, server, tmp_path).readiness("green").reason


def _images(aws: AwsServer, platform: Platform) -> tuple[RegistryImages, list[ColorState]]:
    asked: list[ColorState] = []

    def ask(state: ColorState, command: str) -> list[dict[str, Any]]:
        assert command == "schema"
        asked.append(state)
        return [{"revision": "0002", "min": "0001", "max": "0003", "head": "0003"}]

    return RegistryImages(platform, aws.client("ecr"), aws.client("secretsmanager"), ask), asked


def _pushed(aws: AwsServer, tag: str) -> str:
    config = b"{}"
    manifest = {
        "schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "config": {"mediaType": "application/vnd.oci.image.config.v1+json", "size": 2, "digest": f"sha256:{hashlib.sha256(config).hexdigest()}"},
        "layers": [],
    }  # fmt: skip
    pushed = aws.client("ecr").put_image(repositoryName="teal-test", imageManifest=json.dumps(manifest), imageTag=tag)
    digest: str = pushed["image"]["imageId"]["imageDigest"]
    return digest


def _authority() -> str:
    """Some certificate authority, in the form that EKS gives its own."""
    import base64

    import certifi

    context = ssl.create_default_context(cafile=certifi.where())
    return base64.b64encode(ssl.DER_cert_to_PEM_cert(context.get_ca_certs(binary_form=True)[0]).encode()).decode()


@pytest.fixture
def shell(aws: AwsServer, outputs: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """What `teal --stack dev` finds in its environment, for boto3 too."""
    (tmp_path / "Pulumi.dev.yaml").write_text(f"config:\n  aws:region: {aws_server.REGION}\n", encoding="utf-8")
    (tmp_path / "outputs.json").write_text(json.dumps(outputs), encoding="utf-8")
    given = {
        "AWS_ENDPOINT_URL": aws.url,
        "AWS_ACCESS_KEY_ID": "testing",
        "AWS_SECRET_ACCESS_KEY": "testing",  # pragma: allowlist secret
    }
    for name, value in given.items():
        monkeypatch.setenv(name, value)
    return {**given, "TEAL_ROOT": str(tmp_path), "TEAL_PLATFORM_OUTPUTS": str(tmp_path / "outputs.json")}


def test_the_shell_s_credentials_and_the_platform_s_outputs_are_all_a_release_needs(shell: dict[str, str]) -> None:
    target = aws_target("dev", shell)
    target.traffic.set(Weights(75, 25))
    assert target.traffic.read() == Weights(75, 25)
    assert target.store.read()[0].release is None
    assert (target.name, target.evidence_url("evidence/r/index.html")) == ("dev", "s3://teal-test-releases/evidence/r/index.html")


def test_credentials_of_another_account_are_refused_before_anything_is_changed(
    shell: dict[str, str], outputs: dict[str, Any]
) -> None:
    Path(shell["TEAL_PLATFORM_OUTPUTS"]).write_text(json.dumps({**outputs, "account_id": "999999999999"}), encoding="utf-8")
    with pytest.raises(BadInput, match="account 123456789012"):
        aws_target("dev", shell)


def test_golden_questions_that_are_not_there_are_said_before_anything_is_made(shell: dict[str, str]) -> None:
    with pytest.raises(BadInput, match="can not be read"):
        aws_target("dev", {**shell, "TEAL_GOLDEN": "/nowhere.jsonl"})


def test_a_stack_without_a_file_is_bad_input(shell: dict[str, str]) -> None:
    with pytest.raises(BadInput, match="'nowhere'"):
        aws_target("nowhere", shell)
