"""A stand-in for an Application Load Balancer before moto: moto holds rules and targets, alb_forward.py forwards, and what it sees of the targets'
health is what moto's DescribeTargetHealth says, which by itself calls every target healthy."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any, Final
from unittest import mock

from moto.elbv2 import models

from tests.services.alb_forward import BY_HEADER
from tests.services.aws_server import REGION, AwsServer
from tests.services.ports import free_port

ROOT: Final = Path(__file__).resolve().parents[2]
_READY_SECONDS: Final = 30.0
_REASONS: Final = {
    "initial": ("Elb.RegistrationInProgress", "Target registration is in progress"),
    "unhealthy": ("Target.FailedHealthChecks", "Health checks failed"),
}


@dataclass
class Alb:
    """`states`: of each target by group and address. `own`: what it answered or cut itself, and why."""

    url: str
    states: dict[tuple[str, str], tuple[str, str]] = field(default_factory=dict)
    own: list[str] = field(default_factory=list)
    ready: threading.Event = field(default_factory=threading.Event)

    def met_by_users(self) -> list[str]:
        """Of `own` what was not asked through a rule of a color's probes."""
        return [each for each in self.own if BY_HEADER not in each]

    def hear(self, lines: IO[str]) -> None:
        for line in lines:
            row: dict[str, Any] = json.loads(line)
            if "state" in row:
                self.states[row["group"], row["target"]] = (row["state"], row["why"])
            elif "own" in row:
                self.own.append(f"{row['at']:.1f} {row['own']}")
            else:
                self.ready.set()


@contextmanager
def start(aws: AwsServer, listener_arn: str, address: str = "127.0.0.1") -> Iterator[Alb]:
    """In this thread's network, as a process of its own, so that it is not slowed by what asks it."""
    port = free_port()
    alb = Alb(f"http://{address}:{port}")
    environ = {**os.environ, "AWS_ENDPOINT_URL": aws.url, "AWS_REGION": REGION, "AWS_DEFAULT_REGION": REGION,
               "AWS_ACCESS_KEY_ID": "testing", "AWS_SECRET_ACCESS_KEY": "testing"}  # fmt: skip  # pragma: allowlist secret
    command = [
        "setpriv",
        "--pdeathsig",
        "KILL",
        sys.executable,
        "-m",
        "tests.services.alb_forward",
        address,
        str(port),
        listener_arn,
    ]

    def health_for(group: Any, target: dict[str, Any], backend: Any) -> Any:
        held = group.targets.get(target["Id"])
        if held is None:
            return as_moto(group, target, backend)
        state, why = alb.states.get((group.arn, target["Id"]), ("initial", ""))
        state = "initial" if state == "draining" else state  # it is registered again
        reason, words = _REASONS.get(state, (None, None))
        return models.FakeHealthStatus(held["Id"], held["Port"], group.health_check_port, state, reason, why or words)

    as_moto = models.FakeTargetGroup.health_for
    with (
        mock.patch.object(models.FakeTargetGroup, "health_for", health_for),
        subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environ, cwd=ROOT) as process,
    ):
        assert process.stdout is not None
        threading.Thread(target=alb.hear, args=(process.stdout,), name="alb", daemon=True).start()
        try:
            assert alb.ready.wait(_READY_SECONDS), "the stand-in for the load balancer did not start"
            yield alb
        finally:
            process.terminate()
