"""The `Runtime` port on AWS: deploys and retires a color by `up` and `destroy` of its Pulumi stack;
reads the cluster and the load balancer."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import yaml
from botocore.exceptions import BotoCoreError, ClientError

from contract.names import DEPLOYMENT
from contract.pods import COMPONENT_LABEL, NAME_LABEL, SERVICE
from teal.aws import jobs
from teal.aws.jobs import JobSettings
from teal.aws.kubernetes import KubernetesClient
from teal.aws.pod_reasons import pod_reasons
from teal.aws.pulumi import locks
from teal.aws.pulumi.operation import SHOWN, Operation, PulumiOperationFailed, end_processes, last_line
from teal.aws.pulumi.pending_creates import take_for_made
from teal.aws.tools import Tool, require
from teal.errors import BadInput, HeldByAnother, OperatorError
from teal.events import Event
from teal.ports.runtime import Readiness
from teal.record.model import Color, ColorState

if TYPE_CHECKING:
    from mypy_boto3_elbv2 import ElasticLoadBalancingv2Client
    from pulumi.automation import EngineEvent, Stack

PROJECT: Final = "teal-service"
_SELECTOR: Final = f"{NAME_LABEL}={SERVICE},{COMPONENT_LABEL}=app"
AGAIN_SECONDS: Final = 5.0  # between two tries while another operation holds the stack


@dataclass(frozen=True)
class ServiceProgram:
    """Where the color's program is and how its state is kept.

    `program`: infra/service; `home`: a folder of our own for each stack's settings; `virtualenv`: with Pulumi's packages.
    `secrets_provider`: the colors' key; empty: a passphrase from the environment. `env`: for the engine and the program. `tools`: commands
    that must be on its PATH; asked for before anything is done, so that a release's preflight says it.
    """

    program: Path
    home: Path
    virtualenv: Path
    secrets_provider: str = ""
    env: Mapping[str, str] = field(default_factory=dict)
    tools: tuple[Tool, ...] = ()


@dataclass(frozen=True)
class PulumiRuntime:
    """One stack a color, `<stack>-blue` and `<stack>-green`. `platform`: the platform's outputs as JSON, handed to the program."""

    stack: str
    service: ServiceProgram
    platform: str
    cluster: KubernetesClient
    elbv2: ElasticLoadBalancingv2Client
    target_group_arns: Mapping[Color, str]
    jobs: Mapping[Color, JobSettings]
    # A fenced releaser stops its own `up` within seconds, but the resource that `up` is waiting for may take a minute more.
    wait_seconds: float = 180.0
    running: dict[str, Operation] = field(default_factory=dict, repr=False, compare=False)

    def deploy(self, color: Color, state: ColorState) -> Iterator[Event]:
        """`pulumi up` of the color's stack; returns when the Deployment's pods are ready,
        or raises with the reason why they are not."""
        record = json.dumps({"color": color, **state.model_dump(mode="json")}, sort_keys=True)
        stack = self.open_stack(color, {"record": record, "platform": self.platform}, create=True)
        if stack is None:
            raise PulumiOperationFailed("The stack could not be made", where=f"stack {self._name(color)}", next="pulumi stack ls")
        yield from self._operate("deploy", color, lambda tell: stack.up(on_event=tell, show_secrets=False))

    def retire(self, color: Color) -> Iterator[Event]:
        """`pulumi destroy`: the pods drain before their target group binding is deleted. The empty stack stays, with its history.

        Waits while another operation holds the stack, such as the `up` of another process that a rollback undoes.
        """
        stack = self.open_stack(color, None, create=False)
        deadline = time.monotonic() + self.wait_seconds
        while stack is not None:
            try:
                yield from self._operate("retire", color, lambda tell: stack.destroy(on_event=tell, show_secrets=False))
                return
            except HeldByAnother:
                if time.monotonic() >= deadline:
                    raise
            yield Event("retire", "progress", "another Pulumi operation holds the stack: waiting for its end")
            time.sleep(AGAIN_SECONDS)

    def readiness(self, color: Color) -> Readiness:
        """The smaller of two numbers: pods that Kubernetes calls ready, and targets that the load balancer calls healthy."""
        found = self.cluster.deployment(self.jobs[color].namespace, DEPLOYMENT)
        if found is None:
            return Readiness(0, 0)
        status, wanted = found.get("status", {}), int(found["spec"].get("replicas", 1))
        # A new Deployment has one pod until the autoscaler looks for the first time, 15 s later.
        wanted = max(wanted, int(self._autoscaler(color).get("minReplicas", 1)))
        if status.get("observedGeneration", 0) < found["metadata"].get("generation", 0):
            return Readiness(0, wanted, "Kubernetes has not seen the new Deployment yet")
        pods = min(status.get("readyReplicas", 0), status.get("updatedReplicas", 0))
        healthy, unhealthy = self._targets(color)
        ready = min(pods, healthy)
        return Readiness(ready, wanted, "" if ready >= wanted else self._reason(color, unhealthy))

    def replicas(self, color: Color) -> int:
        found = self.cluster.deployment(self.jobs[color].namespace, DEPLOYMENT)
        return int(found.get("status", {}).get("replicas", 0)) if found else 0

    def keep_at_least(self, color: Color, processes: int) -> None:
        if spec := self._autoscaler(color):
            least = min(processes, int(spec["maxReplicas"]))
            self.cluster.change_autoscaler(self.jobs[color].namespace, DEPLOYMENT, {"minReplicas": least})

    def admin(self, state: ColorState, color: Color, *arguments: str) -> list[dict[str, Any]]:
        return jobs.run_admin_job(self.cluster, color, state, self.jobs[color], arguments)

    def pending(self, color: Color) -> tuple[str, ...]:
        """Locks on the color's stack, in use or left behind, and operations whose end Pulumi never learned."""
        stack = self.open_stack(color, None, create=False)
        if stack is None:
            return ()
        with self._said(color):
            operations = (stack.export_stack().deployment or {}).get("pending_operations") or []
        held = locks.lock_holders(self.service.env.get("PULUMI_BACKEND_URL", ""), PROJECT, self._name(color))
        return (*held, *(f"{each['type']} {each['resource']['urn'].rpartition('::')[2]}" for each in operations))

    def mend(self, color: Color) -> Iterator[Event]:
        """Remove the dead lock, and refresh the state. Objects whose creation was cut off are looked for (pending_creates.py), so that
        the next `up` or `destroy` has all that is there; other pending creations are cleared.

        A `pulumi` of this machine that outlived its releaser is ended first: without its lock it would go on beside the refresh,
        make pods, and write another state over it.
        """
        stack = self.open_stack(color, None, create=False)
        if stack is None:
            return
        backend = self.service.env.get("PULUMI_BACKEND_URL", "")
        yield from end_processes("mend", locks.holders_running_here(backend, PROJECT, self._name(color)))
        with self._said(color):
            stack.cancel()
            state = stack.export_stack()
            deployment = state.deployment or {}  # of a stack that nothing was ever made in
            if (taken := take_for_made(deployment)) != deployment:
                state.deployment = taken
                stack.import_stack(state)
        yield from self._operate(
            "mend",
            color,
            lambda tell: stack.refresh(on_event=tell, clear_pending_creates=True, show_secrets=False, run_program=False),
        )

    def _name(self, color: Color) -> str:
        return f"{self.stack}-{color}"

    def _operate(self, step: str, color: Color, run: Callable[[Callable[[EngineEvent], Any]], object]) -> Iterator[Event]:
        """Run one operation of the color's stack. An unfinished earlier operation of this process is ended first."""
        name = self._name(color)
        if earlier := self.running.pop(name, None):
            earlier.end()
        self.running[name] = operation = Operation(step, name, run)
        yield from operation.events()

    @contextmanager
    def _said(self, color: Color) -> Iterator[None]:
        """Turn a failure of the `pulumi` command into PulumiOperationFailed."""
        from pulumi import automation as auto

        try:
            yield
        except auto.CommandError as error:
            raise PulumiOperationFailed(
                last_line(error), where=f"stack {self._name(color)}", next="pulumi login; pulumi stack ls"
            ) from error

    def open_stack(self, color: Color, config: Mapping[str, str] | None, *, create: bool) -> Stack | None:
        """The color's stack, with this configuration if given; None when it does not exist and `create` is off."""
        require(*self.service.tools, environ=self.service.env)
        try:
            from pulumi import automation as auto  # heavy, and not installed with the laptop's requirements
        except ImportError as error:
            raise BadInput(
                "Pulumi's packages are not installed", where="teal --stack", next="make .venv/.installed-infra"
            ) from error
        service, name = self.service, self._name(color)
        folder = service.home / name
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        keys = {f"{PROJECT}:{key}": value for key, value in (config or {}).items()}
        settings: dict[str, Any] = {"secretsprovider": service.secrets_provider} if service.secrets_provider else {}
        file = folder / f"Pulumi.{name}.yaml"
        if file.exists():  # Pulumi keeps the salt or data key of the stack there
            settings = {**(yaml.safe_load(file.read_text(encoding="utf-8")) or {}), **settings}
        if keys:
            settings["config"] = keys
        file.write_text(yaml.safe_dump(settings), encoding="utf-8")
        runtime = auto.ProjectRuntimeInfo(name="python", options={"virtualenv": str(service.virtualenv)})
        options = auto.LocalWorkspaceOptions(
            work_dir=str(folder),
            project_settings=auto.ProjectSettings(name=PROJECT, runtime=runtime, main=str(service.program)),
            secrets_provider=service.secrets_provider or None,
            env_vars={"PULUMI_SKIP_UPDATE_CHECK": "true", **service.env},
        )
        try:
            with self._said(color):
                if create:
                    return auto.create_or_select_stack(stack_name=name, work_dir=str(folder), opts=options)
                return auto.select_stack(stack_name=name, work_dir=str(folder), opts=options)
        except FileNotFoundError as error:
            raise PulumiOperationFailed(last_line(error), where=f"stack {name}", next="pulumi login; pulumi stack ls") from error
        except PulumiOperationFailed as error:
            if isinstance(error.__cause__, auto.StackNotFoundError):
                return None
            raise

    def _autoscaler(self, color: Color) -> dict[str, Any]:
        """The autoscaler's spec; empty where there is none."""
        found = self.cluster.autoscaler(self.jobs[color].namespace, DEPLOYMENT)
        return dict(found["spec"]) if found else {}

    def _targets(self, color: Color) -> tuple[int, list[str]]:
        """Healthy targets of the color's group, and what the load balancer says about the others."""
        arn = self.target_group_arns[color]
        try:
            found = self.elbv2.describe_target_health(TargetGroupArn=arn)["TargetHealthDescriptions"]
        except (ClientError, BotoCoreError) as error:
            raise OperatorError(f"DescribeTargetHealth failed: {error}", where=arn, next="aws sts get-caller-identity") from error
        states = [each.get("TargetHealth", {}) for each in found]
        others = [f"target {each.get('State')}: {each.get('Description', '')}".rstrip(": ") for each in states
                  if each.get("State") not in ("healthy", "draining")]  # fmt: skip
        return sum(each.get("State") == "healthy" for each in states), others

    def _reason(self, color: Color, unhealthy: list[str]) -> str:
        namespace = self.jobs[color].namespace
        reasons = dict.fromkeys([*pod_reasons(self.cluster, namespace, self.cluster.pods(namespace, _SELECTOR)), *unhealthy])
        return "; ".join(list(reasons)[:SHOWN]) or "pods are starting"
