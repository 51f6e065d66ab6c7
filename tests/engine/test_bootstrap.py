"""`teal bootstrap` with the real Pulumi command on AWS as moto emulates it: state in its S3, data keys from its KMS."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from infra.config.read import load_config
from infra.evaluation.evaluate import ROOT
from teal.aws import bootstrap, stack_file
from teal.aws.names import StateNames
from teal.aws.pulumi.cli import PulumiCli
from teal.aws.runtime import PulumiRuntime, ServiceProgram
from teal.aws.session import Aws
from teal.errors import NeedsHuman
from tests.engine.conftest import Engine
from tests.services.aws_server import REGION, AwsServer, start

NAMES = StateNames("dev", "123456789012", REGION)


@dataclass(frozen=True)
class Account:
    """An account with nothing in it, a checkout, and what the shell says."""

    aws: Aws
    folder: Path
    environment: dict[str, str]

    def cli(self, folder: Path, backend_url: str) -> PulumiCli:
        return PulumiCli(folder, backend_url, self.environment)

    def bootstrap(self) -> list[bool]:
        """Run it; whether each step changed anything."""
        changed: list[bool] = []
        for event in bootstrap.apply(bootstrap.survey(self.aws, stack_file.read_stack_file(self.folder, "dev"), self.cli)):
            changed.append(bool(event.data["changed"]))
            if event.step == "tags":  # moto speaks no TLS here, so that the bucket's policy would refuse Pulumi; rightly
                self.aws.s3.delete_bucket_policy(Bucket=NAMES.bucket)
        return changed

    def export(self, folder: Path, stack: str) -> dict[str, Any]:
        ended = subprocess.run(
            [str(shutil.which("pulumi")), "stack", "export", "--stack", stack], cwd=folder, check=True, capture_output=True,
            env={**os.environ, **self.environment, "PULUMI_BACKEND_URL": NAMES.backend_url},
        )  # fmt: skip
        found: dict[str, Any] = json.loads(ended.stdout)["deployment"]["secrets_providers"]
        return found


def comments(text: str) -> list[str]:
    return [line.partition("#")[2] for line in text.splitlines() if "#" in line]


def environment(server: AwsServer, home: Path) -> dict[str, str]:
    return {
        "AWS_ENDPOINT_URL": server.url,
        "AWS_ACCESS_KEY_ID": "testing",
        "AWS_SECRET_ACCESS_KEY": "testing",  # pragma: allowlist secret
        "AWS_REGION": REGION,
        "PULUMI_HOME": str(home),
        "GOMAXPROCS": "2",
    }


@pytest.fixture
def account(engine: Engine, tmp_path: Path) -> Iterator[Account]:
    assert engine  # brings the command
    (tmp_path / "Pulumi.yaml").write_text("name: teal\nruntime: python\n")
    shutil.copy(ROOT / "Pulumi.dev.yaml", tmp_path)
    with start() as server:
        server.reset()
        yield Account(Aws(server.client, REGION), tmp_path, environment(server, tmp_path / "home"))


def test_the_stack_that_pulumi_up_finds_has_its_secrets_encrypted_by_the_platform_s_key(account: Account) -> None:
    before = (account.folder / "Pulumi.dev.yaml").read_text()
    assert all(account.bootstrap())
    found = account.export(account.folder, "dev")
    assert found["type"] == "cloud"
    assert found["state"]["url"] == NAMES.secrets_provider("platform")
    file = stack_file.read_stack_file(account.folder, "dev")
    assert (file.secrets_provider, file.encrypted_key) == (NAMES.secrets_provider("platform"), found["state"]["encryptedkey"])
    after = (account.folder / "Pulumi.dev.yaml").read_text()
    # Pulumi writes a number as a string, as it hands it to the program.
    assert load_config(yaml.safe_load(after)["config"], "dev", "") == load_config(yaml.safe_load(before)["config"], "dev", "")
    assert comments(after) == comments(before)
    assert NAMES.bucket in (account.folder / "home" / "credentials.json").read_text()  # logged in


def test_again_it_finds_everything_done(account: Account) -> None:
    account.bootstrap()
    account.aws.s3.put_bucket_policy(Bucket=NAMES.bucket, Policy=json.dumps(bootstrap.tls_only("another")))
    before = (account.folder / "Pulumi.dev.yaml").read_text()
    survey = bootstrap.survey(account.aws, stack_file.read_stack_file(account.folder, "dev"), account.cli)
    assert [step.name for step in survey.open] == ["transport"]
    assert (account.folder / "Pulumi.dev.yaml").read_text() == before


def test_a_stack_of_somebody_s_passphrase_is_not_taken_for_one_of_the_key(account: Account) -> None:
    account.bootstrap()
    cli = account.cli(account.folder, NAMES.backend_url)
    cli.remove("dev")
    (account.folder / "Pulumi.dev.yaml").write_text(f"config:\n  aws:region: {REGION}\n")
    passphrase = {**os.environ, **account.environment, "PULUMI_BACKEND_URL": NAMES.backend_url,
                  "PULUMI_CONFIG_PASSPHRASE": "x"}  # pragma: allowlist secret  # fmt: skip
    subprocess.run([str(shutil.which("pulumi")), "stack", "init", "dev"], cwd=account.folder, env=passphrase, check=True)
    with pytest.raises(NeedsHuman, match="passphrase"):
        bootstrap.survey(account.aws, stack_file.read_stack_file(account.folder, "dev"), account.cli)


def test_a_color_s_stack_uses_the_colors_key_also_from_a_second_checkout(account: Account, tmp_path: Path) -> None:
    account.bootstrap()
    for checkout in ("one", "two"):
        service = ServiceProgram(
            program=ROOT / "infra" / "service",
            home=tmp_path / checkout,
            virtualenv=Path(sys.prefix),
            secrets_provider=NAMES.secrets_provider("colors"),
            env={**account.environment, "PULUMI_BACKEND_URL": NAMES.backend_url},
        )
        runtime = PulumiRuntime("dev", service, "{}", None, None, {}, {})  # type: ignore[arg-type]
        assert runtime.open_stack("blue", {"platform": "{}"}, create=True) is not None
        assert account.export(tmp_path / checkout / "dev-blue", "dev-blue")["state"]["url"] == NAMES.secrets_provider("colors")
