"""An environment on AWS (tests/services/aws_place.py) whose colors the real engine makes: its state in moto's S3, under a key of moto's KMS."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from teal.aws.names import StateNames
from teal.record.model import Color
from tests.engine.command import put_on_path
from tests.engine.provider import PACKAGES, Cloud, serve
from tests.services import aws_place, aws_server
from tests.services.aws_place import NAMESPACES, Deployed, Place


@dataclass
class CloudDeployments:
    """Deployments with as many pods as their autoscalers keep at least."""

    cloud: Cloud

    def read(self) -> Mapping[Color, Deployed]:
        found: dict[Color, Deployed] = {}
        for color, namespace in NAMESPACES.items():
            deployment = self._one("apps/v1:Deployment", namespace)
            scaler = self._one("autoscaling/v2:HorizontalPodAutoscaler", namespace)
            if deployment is not None:
                container = deployment["spec"]["template"]["spec"]["containers"][0]
                environment = {each["name"]: each.get("value", "") for each in container["env"]}
                least = int(scaler["spec"]["minReplicas"]) if scaler else 1
                found[color] = Deployed(container["image"], environment["TEAL_RELEASE_ID"], least)
        return found

    def _one(self, kind: str, namespace: str) -> dict[str, Any] | None:
        with self.cloud.lock:
            things = [thing.inputs for thing in self.cloud.things.values() if thing.type == f"kubernetes:{kind}"]
        return next((each for each in things if each.get("metadata", {}).get("namespace") == namespace), None)


@contextmanager
def start(folder: Path, shell: pytest.MonkeyPatch) -> Iterator[tuple[Place, Cloud, dict[str, str]]]:
    """The environment, the stand-in's cloud, and what `teal --stack dev` finds in its shell, which is this process's now."""
    put_on_path(shell, folder / "pulumi")
    cloud, names = Cloud(), StateNames("dev", aws_place.ACCOUNT, aws_server.REGION)
    with aws_place.start(folder, CloudDeployments(cloud)) as place, serve(cloud, PACKAGES) as providers:
        place.aws.client("s3").create_bucket(
            Bucket=names.bucket, CreateBucketConfiguration={"LocationConstraint": aws_server.REGION}
        )
        kms = place.aws.client("kms")
        kms.create_alias(AliasName=names.key_alias("colors"), TargetKeyId=kms.create_key()["KeyMetadata"]["KeyId"])
        commands = folder / "bin"
        commands.mkdir()
        (commands / "aws").write_text("#!/bin/sh\nexit 1\n")  # asked for, and never run: the stand-in's cloud has no sign-in
        (commands / "aws").chmod(0o755)
        environ = place.environ() | {
            "PULUMI_HOME": str(folder / "home"),
            "PULUMI_DEBUG_PROVIDERS": providers,
            "PULUMI_DISABLE_AUTOMATIC_PLUGIN_ACQUISITION": "true",
            "GOMAXPROCS": "2",
        }
        environ["PATH"] = f"{commands}:{environ['PATH']}"
        for name, value in {**environ, "SSL_CERT_FILE": str(folder / "ca.pem")}.items():
            shell.setenv(name, value)
        yield place, cloud, environ
