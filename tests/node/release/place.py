"""A stack on AWS whose cluster is a real node: everything that a release of `teal --stack dev` meets.

| what | by |
|---|---|
| the cluster, its rights and admission policies, both colors' pods and Jobs | real: the node, the platform's own objects, the service's image |
| Pulumi's engine and its Kubernetes provider, which `teal` makes and ends a color by | real: tests/engine has more of them |
| ELBv2, S3 (the engine's state too), ECR, Secrets Manager, KMS (its key), STS | moto |
| what the load balancer does with traffic, and what it says of targets' health | tests/services/alb.py |
| Auto Mode's controller of bindings, and its readiness gates; EKS's sign-in | bindings.py, eks.py |
| the secrets driver, with a provider of the tests' own, and the agent of Pod Identity | secrets_driver.py, pod_identity.py |
| RDS, ElastiCache, ECK's pods | stores.py |
| Managed Prometheus | real, with the platform's scrape configuration and rules: tests/node/prometheus.py |
"""

from __future__ import annotations

import base64
import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import pytest

from contract.names import NAMESPACES, OPERATOR_NAMESPACE
from teal.aws.names import StateNames
from teal.record.model import COLORS, Color, Record
from teal.record.s3 import S3RecordStore
from tests.cluster.objects import objects
from tests.engine import command
from tests.engine.command import put_on_path
from tests.node import color, node, prometheus, search, secrets_driver, stores
from tests.node.node import Node
from tests.node.prometheus import Prometheus
from tests.node.release import bindings, eks, image_layer
from tests.node.release.bindings import Controller
from tests.node.secret_values import Secrets
from tests.node.secrets_driver import Supply
from tests.services import alb, aws_server, go_tools
from tests.services.alb import Alb
from tests.services.aws_place import ACCOUNT
from tests.services.aws_server import REGION, AwsServer
from tests.unit.infra.conftest import evaluate, of_type

ROOT: Final = Path(__file__).resolve().parents[3]
STACK: Final = color.STACK
PROVIDER: Final = "pulumi-resource-kubernetes"
_BUCKET: Final = "teal-dev-releases"
_OUTSIDE: Final = ("NodePool", "Elasticsearch", "Kibana", "TriggerAuthentication")  # kinds of operators that are not here
_POLICIES: Final = ("ValidatingAdmissionPolicy", "ValidatingAdmissionPolicyBinding")
# Twice two web pods and a worker, and a Job, find room on two cores.
_DEFAULTS: Final = {"cpu": "200m", "min_replicas": 2, "max_replicas": 3}


@dataclass
class Place:
    """`rules`: of the releases that `teal` makes here. `rule_arn`: the one with the shares."""

    node: Node
    aws: AwsServer
    alb: Alb
    controller: Controller
    prometheus: Prometheus
    search: search.Place
    folder: Path
    digest: str  # of the image on the node
    rule_arn: str
    groups: Mapping[Color, str]
    supply: Supply
    environ: dict[str, str]
    outputs: dict[str, Any]
    rules: dict[str, Any] = field(default_factory=dict)

    def start(self, *arguments: str, to: Path | None = None) -> subprocess.Popen[str]:
        """One command of `teal`, which goes on beside this."""
        environ = {**self.environ, "TEST_RELEASE_RULES": json.dumps(self.rules)}
        command = [
            "setpriv",
            "--pdeathsig",
            "KILL",
            sys.executable,
            "-m",
            "tests.node.release.releaser",
            *arguments,
            "--stack",
            STACK,
        ]
        if to is None:
            return subprocess.Popen(command, env=environ, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        with to.open("w") as said:
            return subprocess.Popen(command, env=environ, cwd=ROOT, stdout=said, stderr=subprocess.STDOUT, text=True)

    def teal(self, *arguments: str, seconds: float = 600.0) -> tuple[int, str]:
        """How it ended, and what it said. Fails where it has not ended by then."""
        with self.start(*arguments) as running:
            try:
                said = running.communicate(timeout=seconds)[0]
            except subprocess.TimeoutExpired:
                running.kill()  # or its end would be waited for
                pytest.fail(f"teal {arguments[0]} goes on after {seconds:.0f} s: {running.communicate()[0][-3000:]}")
        return running.returncode, said

    def record(self) -> Record:
        return S3RecordStore(self.aws.client("s3"), _BUCKET).read()[0]

    def weights(self) -> dict[Color, int]:
        (rule,) = self.aws.client("elbv2").describe_rules(RuleArns=[self.rule_arn])["Rules"]
        held = {
            each["TargetGroupArn"]: each["Weight"] for each in rule["Actions"][0].get("ForwardConfig", {}).get("TargetGroups", ())
        }
        return {color: held.get(self.groups[color], 0) for color in COLORS}

    def pods(self, color: Color) -> list[dict[str, Any]]:
        """All that are not being ended, Jobs' too."""
        return self.node.pods(NAMESPACES[color])

    def targets(self, color: Color) -> dict[str, str]:
        """The load balancer's word on each, by address."""
        rows = self.aws.client("elbv2").describe_target_health(TargetGroupArn=self.groups[color])["TargetHealthDescriptions"]
        return {row["Target"]["Id"]: row["TargetHealth"]["State"] for row in rows}

    def push(self, tag: str, bad: str = "", *, on_node: bool = True) -> str:
        """The image under a digest of its own, as a version: the service's, or with a bad version's parts. One that is not on the node
        is nowhere to be pulled from."""
        kind = "application/vnd.oci.image"
        digest = f"sha256:{hashlib.sha256(tag.encode()).hexdigest()}"
        config = {"mediaType": f"{kind}.config.v1+json", "size": 2, "digest": digest}
        layer = {"mediaType": f"{kind}.layer.v1.tar+gzip", "size": 2, "digest": digest}
        manifest = {"schemaVersion": 2, "mediaType": f"{kind}.manifest.v1+json", "config": config, "layers": [layer]}
        repository = self.outputs["repository_url"]
        answer = self.aws.client("ecr").put_image(
            repositoryName=repository.partition("/")[2], imageManifest=json.dumps(manifest), imageTag=tag
        )
        reference = f"{repository}@{answer['image']['imageId']['imageDigest']}"
        if on_node:
            held = f"{repository}@{self.digest}"
            if bad:
                held = f"teal.test/{bad.replace('_', '-')}:1"
                image_layer.add_layer(self.node.machine, self.digest, image_layer.overlay(bad), held)
            self.tag(self.node, reference, held)
        return reference

    def tag(self, on: Node, reference: str, held: str = "") -> None:
        """Call an image that this node has also `reference`; without `held` it is the service's own."""
        held = held or f"{self.outputs['repository_url']}@{self.digest}"
        on.machine.run("ctr", "--namespace", "k8s.io", "images", "tag", "--force", held, reference)


@contextmanager
def start(folder: Path, archive: Path) -> Iterator[Place]:
    """With nothing released. In a node of its own, whose network this thread is in until the end."""
    with ExitStack() as running:
        running_node = running.enter_context(node.start(eks.flags(folder)))
        server = running_node.server
        digest = running_node.load(archive, color.repository())
        elasticsearch = search.start(running_node)
        held = running.enter_context(stores.start(folder, elasticsearch))
        elasticsearch.add_repository()
        aws = running.enter_context(aws_server.start())
        supply = running.enter_context(secrets_driver.supplying(running_node, aws, held))
        listener, rule, groups = _load_balancer(aws)
        front = running.enter_context(alb.start(aws, listener))
        series = running.enter_context(prometheus.start(running_node))
        server.define(color.definitions())
        running.enter_context(eks.serving(server, folder))
        outputs = _outputs(aws, held, supply.secrets) | {
            "cluster": {"name": "teal-dev", "endpoint": server.url, "ca_data": base64.b64encode(server.ca.read_bytes()).decode()},
            "url": front.url, "rule_arn": rule, "target_group_arns": groups, "prometheus_query_url": series.query_url,
        }  # fmt: skip
        for document in _platform_objects():
            server.apply(supply.secrets.addressed(document), "administrator")
        controller = running.enter_context(bindings.controlling(server, aws))
        environ = _shell(folder, aws, outputs)
        yield Place(
            running_node, aws, front, controller, series, elasticsearch, folder, digest, rule, groups, supply, environ, outputs
        )


def _platform_objects() -> list[dict[str, Any]]:
    """Both colors' and the operator's namespaces with all that the platform puts into them, and the admission policies."""
    ours = {*NAMESPACES.values(), OPERATOR_NAMESPACE}
    return [
        one
        for one in objects("platform", STACK)
        if one["kind"] not in _OUTSIDE
        and (one["metadata"].get("namespace", one["metadata"]["name"]) in ours or one["kind"] in _POLICIES)
    ]


def _load_balancer(aws: AwsServer) -> tuple[str, str, dict[Color, str]]:
    """The platform's listener, rule and groups, with the numbers that its program gives them."""
    ec2, elbv2, made = aws.client("ec2"), aws.client("elbv2"), evaluate("platform", STACK)
    vpc = ec2.create_vpc(CidrBlock="10.0.0.0/16")["Vpc"]["VpcId"]
    subnets = [
        ec2.create_subnet(VpcId=vpc, CidrBlock=f"10.0.{index}.0/24", AvailabilityZone=f"{REGION}{zone}")["Subnet"]["SubnetId"]
        for index, zone in enumerate("ab")
    ]
    groups: dict[Color, str] = {}
    # By name: which of the two is registered first, differs on a busy machine.
    given_groups = {one.inputs["name"].rpartition("-")[2]: one.inputs for one in of_type(made, "aws:lb/targetGroup:TargetGroup")}
    for name in COLORS:
        given = given_groups[name]
        check = given["healthCheck"]
        arn = elbv2.create_target_group(
            Name=given["name"], Protocol=given["protocol"], Port=given["port"], VpcId=vpc, TargetType=given["targetType"],
            HealthCheckPath=check["path"], HealthCheckIntervalSeconds=check["interval"], HealthCheckTimeoutSeconds=check["timeout"],
            HealthyThresholdCount=check["healthyThreshold"], UnhealthyThresholdCount=check["unhealthyThreshold"],
            Matcher={"HttpCode": check["matcher"]},
        )["TargetGroups"][0]["TargetGroupArn"]  # fmt: skip
        attributes = {
            "deregistration_delay.timeout_seconds": str(given["deregistrationDelay"]),
            "load_balancing.algorithm.type": given["loadBalancingAlgorithmType"],
        }
        elbv2.modify_target_group_attributes(
            TargetGroupArn=arn, Attributes=[{"Key": key, "Value": value} for key, value in attributes.items()]
        )
        groups[name] = arn
    balancer = elbv2.create_load_balancer(Name="teal-dev", Subnets=subnets)["LoadBalancers"][0]["LoadBalancerArn"]
    by_name = {one.name.rpartition("-")[2]: one.inputs for one in of_type(made, "aws:lb/listenerRule:ListenerRule")}
    page = by_name["shares"]["actions"][0]["fixedResponse"]
    closed = [{"Type": "fixed-response", "FixedResponseConfig": {
        "StatusCode": page["statusCode"], "ContentType": page["contentType"], "MessageBody": page["messageBody"]}}]  # fmt: skip
    listener = elbv2.create_listener(LoadBalancerArn=balancer, Protocol="HTTP", Port=80, DefaultActions=closed)["Listeners"][0][
        "ListenerArn"
    ]
    for name in COLORS:
        header = by_name[name]["conditions"][0]["httpHeader"]["httpHeaderName"]
        condition = {"Field": "http-header", "HttpHeaderConfig": {"HttpHeaderName": header, "Values": [f"probe-{name}"]}}
        elbv2.create_rule(ListenerArn=listener, Priority=by_name[name]["priority"], Conditions=[condition],
                          Actions=[{"Type": "forward", "TargetGroupArn": groups[name]}])  # fmt: skip
    paths = by_name["shares"]["conditions"][0]["pathPattern"]["values"]
    rule = elbv2.create_rule(ListenerArn=listener, Priority=by_name["shares"]["priority"], Actions=closed,
                             Conditions=[{"Field": "path-pattern", "Values": paths}])["Rules"][0]["RuleArn"]  # fmt: skip
    return listener, rule, groups


def _outputs(aws: AwsServer, held: stores.Stores, secrets: Secrets) -> dict[str, Any]:
    """The platform's outputs, of things that are there."""
    given, s3 = dict(evaluate("platform", STACK).outputs), aws.client("s3")
    where = {"LocationConstraint": REGION}
    names = StateNames(STACK, ACCOUNT, REGION)
    for bucket in (_BUCKET, names.bucket):
        s3.create_bucket(Bucket=bucket, CreateBucketConfiguration=where)
    s3.put_bucket_versioning(Bucket=_BUCKET, VersioningConfiguration={"Status": "Enabled"})
    kms = aws.client("kms")
    kms.create_alias(AliasName=names.key_alias("colors"), TargetKeyId=kms.create_key()["KeyMetadata"]["KeyId"])
    aws.client("ecr").create_repository(repositoryName=color.repository().partition("/")[2])
    config = color.record(held, f"sha256:{'0' * 64}", "r-20261129-1", 0)["config"]
    return {
        **given, "account_id": ACCOUNT, "release_bucket": _BUCKET,
        "app_environment": {**config, "TEAL_INDEX": "teal"},
        **{name: secrets.addressed(given[name]) for name in ("app_secrets", "probe_secret_arns")},
        "service_defaults": {**given["service_defaults"], **_DEFAULTS},
    }  # fmt: skip


def _shell(folder: Path, aws: AwsServer, outputs: Mapping[str, Any]) -> dict[str, str]:
    """What `teal --stack dev` finds in its shell."""
    (folder / "outputs.json").write_text(json.dumps(outputs))
    (folder / f"Pulumi.{STACK}.yaml").write_text(f"config:\n  aws:region: {REGION}\n")
    (folder / "infra").symlink_to(ROOT / "infra")
    commands = folder / "commands"
    commands.mkdir()
    eks.write_aws(commands)
    return {
        "HOME": str(folder), "PYTHONPATH": str(ROOT), "AWS_ENDPOINT_URL": aws.url, "AWS_ACCESS_KEY_ID": "testing",
        "AWS_SECRET_ACCESS_KEY": "testing",  # pragma: allowlist secret
        "AWS_REGION": REGION, "TEAL_ROOT": str(folder), "TEAL_PLATFORM_OUTPUTS": str(folder / "outputs.json"),
        **_engine(folder, commands),
    }  # fmt: skip


def _engine(folder: Path, commands: Path) -> dict[str, str]:
    """Pulumi's command and its Kubernetes provider."""
    script = commands / PROVIDER
    script.write_text(f'#!/bin/sh\nexec "{go_tools.tool(PROVIDER)}" "$@"\n')
    script.chmod(0o755)
    with pytest.MonkeyPatch.context() as shell:
        put_on_path(shell, commands)
        path = os.environ["PATH"]
    return {
        "PATH": f"{commands}:{path}", "PULUMI_HOME": str(folder / "home"), "GOMAXPROCS": "2",
        "PULUMI_DISABLE_AUTOMATIC_PLUGIN_ACQUISITION": "true",
    }  # fmt: skip


def prepare() -> None:
    """Build what is missing, before anything is in another network."""
    secrets_driver.require_driver()
    go_tools.tool(prometheus.NAME)
    go_tools.tool(PROVIDER)
    if not command.present():
        go_tools.tool("pulumi")
