"""An environment on AWS that stands in for one, behind sockets, so that a release runs on the adapters for AWS and on nothing else.

| what | by |
|---|---|
| ELBv2, S3, ECR, Secrets Manager, STS, KMS | moto |
| the cluster's API | an HTTPS server of this process over `Deployments`; a Job is run as a process here: the real `app.admin` on a SQLite catalog |
| what the load balancer lets through, Managed Prometheus | the same server, over the service in memory of tests/unit/teal/release/ports.py; shares are what moto's rule holds |

Not here: pods, a data path from the rule to them, signatures that somebody checks, time that AWS takes.
"""

from __future__ import annotations

import base64
import hashlib
import json
import os
import re
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import parse_qs

import httpx

from teal.client.entry import ColorEndpoint
from teal.metrics.gates import GATES, counters
from teal.ports.traffic import Weights
from teal.record.model import COLORS, Color, ColorState
from tests.services import aws_server
from tests.services.aws_server import AwsServer, LoadBalancer
from tests.services.certificates import self_signed
from tests.services.cluster_server import ClusterServer
from tests.services.http_stand_in import Handler, listening
from tests.unit.teal.release.ports import World, serve

ROOT = Path(__file__).resolve().parents[2]
ACCOUNT = "123456789012"  # moto's
_WINDOW = re.compile(r"\[(\d+ms)\]")  # of a query of the gates; its counts begin with this server
NAMESPACES: dict[Color, str] = {"blue": "teal-blue", "green": "teal-green"}
USERS_PER_SECOND = 20_000  # numbers alone; a step has its samples in tenths of a second


@dataclass(frozen=True)
class Deployed:
    """What the cluster holds of a color: the pods' image and release, and how many of them."""

    image: str
    release_id: str
    replicas: int


class Deployments(Protocol):
    """The objects behind the cluster's API."""

    def read(self) -> Mapping[Color, Deployed]: ...


@dataclass
class KeptDeployments:
    """Objects that nothing but a test made."""

    held: dict[Color, Deployed] = field(default_factory=dict)

    def read(self) -> Mapping[Color, Deployed]:
        return dict(self.held)


@dataclass
class Place:
    """`world` decides how images behave and counts what users meet; `outputs` are the platform's; `folder` holds a checkout's files."""

    aws: AwsServer
    balancer: LoadBalancer
    deployments: Deployments
    folder: Path
    world: World = field(default_factory=World)
    outputs: dict[str, Any] = field(default_factory=dict)
    jobs: list[tuple[str, ...]] = field(default_factory=list)
    lock: threading.RLock = field(default_factory=threading.RLock)
    cluster: ClusterServer = field(default_factory=ClusterServer)

    def __post_init__(self) -> None:
        self.world.rate = USERS_PER_SECOND
        self.cluster.on_job = self._job
        self._ticked = time.monotonic()
        self._elbv2 = self.aws.client("elbv2")

    def environ(self) -> dict[str, str]:
        """What `teal --stack dev` finds in its shell."""
        return {
            "PATH": os.environ["PATH"],
            "HOME": str(self.folder),
            "AWS_ENDPOINT_URL": self.aws.url,
            "AWS_ACCESS_KEY_ID": "testing",
            "AWS_SECRET_ACCESS_KEY": "testing",  # pragma: allowlist secret
            "AWS_REGION": aws_server.REGION,
            "TEAL_ROOT": str(self.folder),
            "TEAL_PLATFORM_OUTPUTS": str(self.folder / "outputs.json"),
        }

    def weights(self) -> Weights:
        """As the load balancer's own API says."""
        (rule,) = self._elbv2.describe_rules(RuleArns=[self.balancer.rule_arn])["Rules"]
        groups = rule["Actions"][0]["ForwardConfig"]["TargetGroups"]
        held = {group["TargetGroupArn"]: group["Weight"] for group in groups}
        return Weights(*(held[self.balancer.target_group_arns[color]] for color in COLORS))

    def sync(self) -> None:
        """What the cluster's controllers do: pods that are wanted run, and are targets of their color's group."""
        with self.lock:
            found = self.deployments.read()
            for color in COLORS:
                deployed, arn = found.get(color), self.balancer.target_group_arns[color]
                wanted = {
                    f"10.0.{COLORS.index(color)}.{number}" for number in range(1, (deployed.replicas if deployed else 0) + 1)
                }
                targets = {
                    each["Target"]["Id"]
                    for each in self._elbv2.describe_target_health(TargetGroupArn=arn)["TargetHealthDescriptions"]
                }
                if more := wanted - targets:
                    self._elbv2.register_targets(
                        TargetGroupArn=arn, Targets=[{"Id": each, "Port": 8080} for each in sorted(more)]
                    )
                if gone := targets - wanted:
                    self._elbv2.deregister_targets(TargetGroupArn=arn, Targets=[{"Id": each} for each in sorted(gone)])
                if deployed is None:
                    self.world.running.pop(color, None)
                else:
                    self.world.running[color] = ColorState(
                        release_id=deployed.release_id,
                        image=deployed.image,
                        index="teal",
                        schema_min="",
                        schema_max="",
                        replica_floor=0,
                    )

    def answer(self, request: httpx.Request) -> httpx.Response:
        """Any request to this environment but those to moto."""
        with self.lock:
            path = request.url.path
            if path.startswith("/v1/") or "x-teal-probe" in request.headers:  # the page has no such beginning
                return self._service(request)
            if path.startswith("/prometheus/"):
                return self._prometheus(request)
            return self._api(request)

    def _api(self, request: httpx.Request) -> httpx.Response:
        if not request.headers.get("Authorization", "").startswith("Bearer k8s-aws-v1."):
            return httpx.Response(401, json={"message": "Unauthorized"})
        self.sync()
        for color, namespace in NAMESPACES.items():
            path = f"/apis/apps/v1/namespaces/{namespace}/deployments/teal"
            self.cluster.objects.pop(path, None)
            if deployed := self.deployments.read().get(color):
                n = deployed.replicas
                status = {"observedGeneration": 1, "replicas": n, "readyReplicas": n, "updatedReplicas": n}
                self.cluster.objects[path] = {"metadata": {"generation": 1}, "spec": {"replicas": n}, "status": status}
        return self.cluster.answer(request)

    def _service(self, request: httpx.Request) -> httpx.Response:
        """Through the rule of a color's probes, which its secret chooses."""
        self.sync()
        secret = request.headers.get("x-teal-probe", "")
        color = next((color for color in COLORS if secret == f"probe-{color}"), None)
        if color is None or not request.headers.get("Authorization", "").startswith("Bearer "):
            return httpx.Response(403, json={"title": "no way in"})
        return serve(self.world, ColorEndpoint("", {"X-Color": color}), request)

    def _prometheus(self, request: httpx.Request) -> httpx.Response:
        """Counts of what users met since the last question, by the shares of now."""
        if "/aps/aws4_request" not in request.headers.get("Authorization", ""):
            return httpx.Response(403, json={"message": "not signed"})
        asked = parse_qs(request.content.decode())["query"][0]
        window = next(iter(_WINDOW.findall(asked)), "")
        for color, namespace in NAMESPACES.items():
            selector = f'namespace="{namespace}"'
            if asked == f"count(teal_build_info{{{selector}}})":
                self.sync()
                self.world.weights = self.weights()
                now = time.monotonic()
                self.world.pass_time(now - self._ticked)
                self._ticked = now
                return _vector(1 if color in self.world.running else None)
            for counter in counters(GATES):
                if asked == counter.read.promql(selector, window):
                    return _vector(self.world.counts[color].get(counter.name))
        return httpx.Response(400, json={"status": "error", "error": f"unexpected query {asked}"})

    def _job(self, job: dict[str, Any]) -> tuple[list[dict[str, str]], str, dict[str, Any]]:
        (container,) = job["spec"]["template"]["spec"]["containers"]
        self.jobs.append(tuple(container["args"][3:]))
        plain = {each["name"]: each["value"] for each in container["env"] if "value" in each}
        environ = plain | {
            "PATH": os.environ["PATH"],
            "TEAL_STATE_DIR": str(self.folder / "data"),
            "TEAL_MODEL_DIR": str(self.folder / "models"),
            "PYTHONPATH": str(ROOT),
        }
        ended = subprocess.run([sys.executable, *container["args"][1:]], env=environ, cwd=self.folder, capture_output=True, text=True,
                               timeout=120, check=False)  # fmt: skip
        condition = "Complete" if ended.returncode == 0 else "Failed"
        pod = {"containerStatuses": [{"state": {"terminated": {"exitCode": ended.returncode}}}]}
        return [{"type": condition, "status": "True"}], ended.stdout + ended.stderr, pod


def _vector(value: float | None) -> httpx.Response:
    result = [] if value is None else [{"metric": {}, "value": [1.0, str(value)]}]
    return httpx.Response(200, json={"status": "success", "data": {"resultType": "vector", "result": result}})


@contextmanager
def start(folder: Path, deployments: Deployments) -> Iterator[Place]:
    """The environment, with nothing released. `folder` gets the checkout's files and `ca.pem`, which verifies the HTTPS server."""
    self_signed(folder / "ca.pem", folder / "key.pem", ["localhost"])
    with aws_server.start() as aws:
        aws.reset()
        place = Place(aws, aws_server.load_balancer(aws, "teal-dev"), deployments, folder)
        with _serving(place, tls=folder) as secure, _serving(place) as plain:
            place.outputs.update(_outputs(place, f"https://localhost:{secure}", f"http://127.0.0.1:{plain}"))
            (folder / "outputs.json").write_text(json.dumps(place.outputs), encoding="utf-8")
            (folder / "Pulumi.dev.yaml").write_text(f"config:\n  aws:region: {aws_server.REGION}\n", encoding="utf-8")
            (folder / "infra").symlink_to(ROOT / "infra")
            yield place


def _outputs(place: Place, secure: str, plain: str) -> dict[str, Any]:
    """The platform's outputs, of things that are there."""
    from tests.unit.infra.service_program import platform_outputs

    secrets, s3 = place.aws.client("secretsmanager"), place.aws.client("s3")
    held = {
        name: secrets.create_secret(Name=name, SecretString=name)["ARN"] for name in ("probe-blue", "probe-green", "database")
    }
    s3.create_bucket(Bucket="teal-dev-releases", CreateBucketConfiguration={"LocationConstraint": aws_server.REGION})
    s3.put_bucket_versioning(Bucket="teal-dev-releases", VersioningConfiguration={"Status": "Enabled"})
    repository = place.aws.client("ecr").create_repository(repositoryName="teal-dev")["repository"]["repositoryUri"]
    authority = base64.b64encode((place.folder / "ca.pem").read_bytes()).decode()
    return {
        **platform_outputs("dev"),
        "account_id": ACCOUNT,
        "cluster": {"name": "teal-dev", "endpoint": secure, "ca_data": authority},
        "url": secure,
        "rule_arn": place.balancer.rule_arn,
        "target_group_arns": place.balancer.target_group_arns,
        "probe_header": "x-teal-probe",
        "probe_secret_arns": {color: held[f"probe-{color}"] for color in COLORS},
        "repository_url": repository,
        "release_bucket": "teal-dev-releases",
        "app_environment": {"TEAL_SEARCH": "embedded", "TEAL_EMBEDDING": "none", "TEAL_INDEX": "teal"},
        "app_secrets": {"SENTRY_DSN": {"secret_arn": held["database"], "key": "url"}},
        "prometheus_query_url": f"{plain}/prometheus/api/v1/query",
        "operator_namespace": "teal-operator",
        "vpc_cidr": "10.0.0.0/16",
    }


def pushed(place: Place, tag: str) -> str:
    """An image under that tag; its whole reference."""
    digest = f"sha256:{hashlib.sha256(tag.encode()).hexdigest()}"
    kind = "application/vnd.oci.image"
    manifest = {
        "schemaVersion": 2,
        "mediaType": f"{kind}.manifest.v1+json",
        "config": {"mediaType": f"{kind}.config.v1+json", "size": 2, "digest": digest},
        "layers": [{"mediaType": f"{kind}.layer.v1.tar+gzip", "size": 2, "digest": digest}],  # moto's digest is made from these
    }
    answer = place.aws.client("ecr").put_image(repositoryName="teal-dev", imageManifest=json.dumps(manifest), imageTag=tag)
    return f"{place.outputs['repository_url']}@{answer['image']['imageId']['imageDigest']}"


@contextmanager
def _serving(place: Place, tls: Path | None = None) -> Iterator[int]:
    class Api(Handler):
        protocol_version = "HTTP/1.1"

        def _any(self) -> None:
            asked = httpx.Request(self.command, f"http://place{self.path}", headers=dict(self.headers), content=self.received())
            said = place.answer(asked)
            self.answer(
                said.status_code,
                said.content,
                **{name: said.headers[name] for name in ("Content-Type", "X-Cache") if name in said.headers},
            )

        do_GET = do_POST = do_DELETE = _any

    with listening(Api, tls=tls) as port:
        yield port
