"""Runs a program of this project without a cloud, a state or the Pulumi command,
and returns the resources that it would register.

The picture, the price list and the tests read the same resources that `pulumi up` would create. Values that only AWS knows are made up by
`infra.evaluation.mocks`. The first evaluation of a process takes 2.7 to 2.9 s of CPU, of which 2 s read Pulumi's SDK for AWS, and each later one
0.7 s (measured on 2026-11-29 with bytecode, at a load of 3). While the garbage collector ran they took 4.2 s and 1.0 s: see `without_collector`.
"""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import gc
import json
import runpy
from collections.abc import Coroutine, Generator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar, cast

from google.protobuf import json_format
from pulumi import AssetArchive, FileAsset
from pulumi.runtime import mocks as pulumi_mocks
from pulumi.runtime import rpc, set_all_config
from pulumi.runtime.proto import resource_pb2
from pulumi.runtime.settings import configure, get_root_resource
from pulumi.runtime.stack import Stack, run_in_stack

from contract import stack_file
from infra.evaluation import mocks

ROOT = Path(__file__).parents[2]
T = TypeVar("T")


@dataclass(frozen=True)
class RegisteredResource:
    """One resource as Pulumi's engine would see it: inputs in the provider's camelCase, and its options."""

    type: str
    name: str
    urn: str
    parent: str
    inputs: Mapping[str, Any]
    custom: bool
    protect: bool
    retain_on_delete: bool
    delete_before_replace: bool
    depends_on: tuple[str, ...]
    ignore_changes: tuple[str, ...]
    replace_on_changes: tuple[str, ...]
    provider: str
    timeouts: Mapping[str, str] = field(default_factory=dict[str, str])
    secret_inputs: frozenset[str] = frozenset()  # inputs that hold a secret: the engine encrypts them in its state
    secret_outputs: frozenset[str] = frozenset()  # outputs that are encrypted too; all others are stored in clear


@dataclass(frozen=True)
class Evaluation:
    """The resources that a program registers, in order, its stack's outputs,
    and which of these would be encrypted in the state."""

    resources: tuple[RegisteredResource, ...]
    outputs: Mapping[str, Any]
    secret_outputs: frozenset[str] = frozenset()


def platform(stack: str, values: Mapping[str, object] | None = None) -> Evaluation:
    """Evaluate the platform program with the committed configuration of `stack`, or with `values`."""
    return evaluate_program("teal", ROOT / "infra" / "__main__.py", stack, stack_values(stack) if values is None else values)


def stacks(root: Path = ROOT) -> tuple[str, ...]:
    """The names of the stacks with a file in `root`. A new Pulumi.<stack>.yaml is tested without further registration."""
    return tuple(sorted(file.name.split(".")[1] for file in root.glob("Pulumi.*.yaml")))


def stack_values(stack: str) -> dict[str, object]:
    """The `config:` mapping of Pulumi.<stack>.yaml. Raises `NotAStackFile`, and FileNotFoundError."""
    return stack_file.read_config(ROOT / f"Pulumi.{stack}.yaml")


def evaluate_program(
    project: str,
    main: Path,
    stack: str,
    values: Mapping[str, object],
    references: Mapping[str, Mapping[str, Any]] | None = None,
) -> Evaluation:
    """Run `main` as `project`/`stack` with configuration `values`; `references` are the outputs of stacks it refers to, by name.

    Raises what the program raises. Each call runs in a context and an event loop of its own, so calls do not see each other.
    """
    config = {key: value if isinstance(value, str) else json.dumps(value) for key, value in values.items()}
    monitor = Monitor(Mocks(config.get("aws:region", "eu-central-1"), references or {}, administrator(values)))

    async def run() -> dict[str, Any]:
        configure(
            pulumi_mocks.MockSettings(
                monitor=monitor,
                monitor_features=set(monitor.GetDeploymentInfo(None).supportedFeatures),  # pyright: ignore[reportUnknownMemberType]  # unannotated
                engine=pulumi_mocks.MockEngine(None),
                project=project,
                stack=stack,
                dry_run=False,
                organization="organization",
                callbacks=None,
            )
        )
        set_all_config(config)

        def program() -> None:
            runpy.run_path(str(main), run_name="__main__")

        await run_in_stack(program)
        root = cast(Stack, get_root_resource())
        raw: dict[str, Any] = rpc.deserialize_properties(await rpc.serialize_properties(root.outputs, {}))
        return raw

    with without_collector():
        outputs = run_isolated(run())
    secret = frozenset(name for name, value in outputs.items() if _holds_secret(value))
    return Evaluation(tuple(monitor.registered), _unwrap(outputs), secret)


@contextlib.contextmanager
def without_collector() -> Generator[None]:
    """Switch Python's garbage collector off for the block; afterwards it is as it was, also where a program set its threshold.

    The SDK makes half a million objects that live as long as the process. The collector goes through all of them again and again
    while they are made, and finds next to nothing: a third of an evaluation's CPU.
    """
    was_on, threshold = gc.isenabled(), gc.get_threshold()
    gc.disable()
    try:
        yield
    finally:
        gc.set_threshold(*threshold)
        if was_on:
            gc.enable()


def run_isolated(coroutine: Coroutine[Any, Any, T]) -> T:
    """What `coroutine` returns, in a context, an event loop and a thread of its own.

    The thread is for speed: Pulumi notes the whole call stack for each resource, and below a test runner that stack is three times as long
    (measured on 2026-11-28: 1.2 s of CPU for dev's platform, and 1.6 s with 40 calls more).
    """
    with ThreadPoolExecutor(1, thread_name_prefix="evaluation") as thread:
        return thread.submit(contextvars.Context().run, asyncio.run, coroutine).result()


def administrator(values: Mapping[str, object]) -> str | None:
    """The identity that the evaluated program sees as its caller:
    the first that the stack lists, because it refuses any other."""
    cluster = values.get("teal:cluster")
    roles: Any = cast(Mapping[str, Any], cluster).get("admin_role_arns") if isinstance(cluster, Mapping) else None
    return str(roles[0]) if roles else None


class Mocks(pulumi_mocks.Mocks):
    def __init__(self, region: str, references: Mapping[str, Mapping[str, Any]], deployer: str | None = None) -> None:
        self._region = region
        self._deployer = deployer
        self._references = references

    def new_resource(self, args: pulumi_mocks.MockResourceArgs) -> tuple[str | None, dict[str, Any]]:
        inputs: dict[str, Any] = _unwrap(args.inputs)  # pyright: ignore[reportUnknownMemberType]  # a bare dict
        if args.typ == "pulumi:pulumi:StackReference":
            name = str(inputs["name"])
            return name, {"name": name, "outputs": dict(self._references[name]), "secretOutputNames": []}
        return mocks.resource_answer(args.typ, args.name, inputs, self._region)

    def call(self, args: pulumi_mocks.MockCallArgs) -> tuple[dict[str, Any], list[tuple[str, str]] | None]:
        answer = mocks.function_answer(args.token, _unwrap(args.args), self._region)  # pyright: ignore[reportUnknownMemberType]  # a bare dict
        if self._deployer is not None and "issuerArn" in answer:
            answer["issuerArn"] = self._deployer
        return answer, []


class Monitor(pulumi_mocks.MockMonitor):
    """A mock monitor that also records the options, such as `protect` and dependencies."""

    def __init__(self, mocks: Mocks) -> None:
        super().__init__(mocks)
        self.registered: list[RegisteredResource] = []

    def RegisterResource(self, request: resource_pb2.RegisterResourceRequest) -> resource_pb2.RegisterResourceResponse:
        answer: resource_pb2.RegisterResourceResponse = super().RegisterResource(request)  # pyright: ignore[reportUnknownVariableType, reportUnknownMemberType]  # pulumi leaves it unannotated
        for name in request.additionalSecretOutputs:  # as the engine does: values derived from such an output are secrets
            if name in answer.object:
                value = json_format.MessageToDict(answer.object)[name]
                mark = {rpc._special_sig_key: rpc._special_secret_sig, "value": value}  # pyright: ignore[reportPrivateUsage]  # the wire's own
                answer.object.update({name: mark})
        given: dict[str, Any] = rpc.deserialize_properties(request.object)
        if request.type != "pulumi:pulumi:Stack":
            timeouts = request.customTimeouts
            self.registered.append(
                RegisteredResource(
                    type=request.type,
                    name=request.name,
                    urn=answer.urn,
                    parent=request.parent,
                    inputs=_files(_unwrap(given)),
                    custom=request.custom,
                    protect=request.protect,
                    retain_on_delete=request.retainOnDelete,
                    delete_before_replace=request.deleteBeforeReplace,
                    depends_on=tuple(sorted(request.dependencies)),
                    ignore_changes=tuple(request.ignoreChanges),
                    replace_on_changes=tuple(request.replaceOnChanges),
                    provider=request.provider,
                    secret_inputs=frozenset(name for name, value in given.items() if _holds_secret(value)),
                    secret_outputs=frozenset(request.additionalSecretOutputs),
                    timeouts={k: v for k in ("create", "update", "delete") if (v := str(getattr(timeouts, k)))},
                )
            )
        return answer


def _holds_secret(value: Any) -> bool:
    if isinstance(value, dict):
        return rpc.is_rpc_secret(value) or any(map(_holds_secret, cast(dict[str, Any], value).values()))
    return isinstance(value, list) and any(map(_holds_secret, cast(list[Any], value)))


def _unwrap(value: Any) -> Any:
    """The value without Pulumi's wrapping of secrets, and with whole numbers as such."""
    if rpc.is_rpc_secret(value):
        return _unwrap(value["value"])
    if isinstance(value, dict):
        return {key: _unwrap(each) for key, each in cast(dict[str, Any], value).items()}
    if isinstance(value, list):
        return [_unwrap(each) for each in cast(list[Any], value)]
    if isinstance(value, float) and value.is_integer():
        return int(value)  # the protocol has one number type; the engine prints whole numbers without a point
    return value


def _files(inputs: dict[str, Any]) -> dict[str, Any]:
    """The inputs, with each archive replaced by its files' names and paths, so that archives of the same files are equal."""

    def plain(value: Any) -> Any:
        if isinstance(value, AssetArchive):
            assets = cast(dict[str, FileAsset], value.assets)
            return {name: str(asset.path) for name, asset in assets.items()}
        return value

    return {name: plain(value) for name, value in inputs.items()}
