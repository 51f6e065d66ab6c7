"""A stand-in for provider plugins: the engine speaks to it over gRPC as to a real one, and its cloud is a dictionary.

It keeps what it is given, adds the outputs of `infra.evaluation.mocks`, and compares inputs. It knows nothing of what AWS or Kubernetes
would refuse: these tests are about the engine's work (order, protection, ignored changes, refresh), not about the cloud's.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping, Sequence
from concurrent import futures
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import grpc
from google.protobuf import empty_pb2, json_format, struct_pb2
from pulumi.runtime.proto import plugin_pb2, provider_pb2, provider_pb2_grpc

from infra.evaluation import mocks

PACKAGES = ("aws", "kubernetes", "random", "tls")
# Inputs that cannot be changed in place, for the types whose replacement a test is about.
_FIXED = {"aws:rds/instance:Instance": {"identifier", "engine"}, "aws:s3/bucket:Bucket": {"bucket"}}


@dataclass
class Thing:
    """One resource in the stand-in's cloud."""

    type: str
    name: str
    inputs: dict[str, Any]
    outputs: dict[str, Any]


@dataclass
class Cloud:
    """Everything that exists, what was done to it, in order: (verb, type, name), and the types that were read."""

    region: str = "eu-central-1"
    things: dict[tuple[str, str], Thing] = field(default_factory=dict)
    others: dict[tuple[str, str], dict[str, Any]] = field(default_factory=dict)  # (type, id): what operators in the cluster make
    done: list[tuple[str, str, str]] = field(default_factory=list)
    read: set[str] = field(default_factory=set)
    given: dict[str, dict[str, Any]] = field(default_factory=dict)  # by type: outputs in the place of the made-up ones
    lock: threading.Lock = field(default_factory=threading.Lock)

    def one(self, kind: str, name: str) -> Thing:
        (found,) = [thing for thing in self.things.values() if thing.type == kind and thing.name == name]
        return found

    def change(self, kind: str, name: str, **values: Any) -> None:
        """What somebody does behind Pulumi's back."""
        thing = self.one(kind, name)
        thing.inputs |= values
        thing.outputs |= values


class StandIn(provider_pb2_grpc.ResourceProviderServicer):
    """One package of the cloud."""

    def __init__(self, cloud: Cloud) -> None:
        self._cloud = cloud

    def GetPluginInfo(self, _request: Any, _context: Any) -> Any:
        return plugin_pb2.PluginInfo(version="99.0.0")

    def Handshake(self, _request: Any, _context: Any) -> Any:
        return provider_pb2.ProviderHandshakeResponse(accept_secrets=False, accept_resources=False, accept_outputs=False)

    def Attach(self, _request: Any, _context: Any) -> Any:
        return empty_pb2.Empty()

    def GetSchema(self, _request: Any, _context: Any) -> Any:
        return provider_pb2.GetSchemaResponse(schema="{}")

    def CheckConfig(self, request: Any, _context: Any) -> Any:
        return provider_pb2.CheckResponse(inputs=request.news)

    def DiffConfig(self, _request: Any, _context: Any) -> Any:
        return provider_pb2.DiffResponse(changes=provider_pb2.DiffResponse.DIFF_NONE)

    def Configure(self, _request: Any, _context: Any) -> Any:
        return provider_pb2.ConfigureResponse(
            acceptSecrets=False, supportsPreview=False, acceptResources=False, acceptOutputs=False
        )

    def Invoke(self, request: Any, _context: Any) -> Any:
        return provider_pb2.InvokeResponse(
            **{"return": _struct(mocks.function_answer(request.tok, _plain(request.args), self._cloud.region))}
        )

    def Check(self, request: Any, _context: Any) -> Any:
        return provider_pb2.CheckResponse(inputs=request.news)

    def Diff(self, request: Any, _context: Any) -> Any:
        old, new = _plain(request.old_inputs), _plain(request.news)
        changed = sorted(key for key in {*old, *new} if old.get(key) != new.get(key) and not key.startswith("__"))
        replaces = sorted(_FIXED.get(_kind(request.urn), set()) & set(changed))
        changes = provider_pb2.DiffResponse.DIFF_SOME if changed else provider_pb2.DiffResponse.DIFF_NONE
        return provider_pb2.DiffResponse(changes=changes, diffs=changed, replaces=replaces)

    def Create(self, request: Any, _context: Any) -> Any:
        if request.preview:
            return provider_pb2.CreateResponse(properties=request.properties)
        kind, name, inputs = _kind(request.urn), _name(request.urn), _plain(request.properties)
        identifier, outputs = mocks.resource_answer(kind, name, inputs, self._cloud.region)
        outputs |= self._cloud.given.get(kind, {})
        with self._cloud.lock:
            self._cloud.things[request.urn, identifier] = Thing(kind, name, inputs, outputs)
            self._cloud.done.append(("create", kind, name))
        return provider_pb2.CreateResponse(id=identifier, properties=_struct(outputs))

    def Read(self, request: Any, _context: Any) -> Any:
        self._cloud.read.add(_kind(request.urn))
        made_by_others = self._cloud.others.get((_kind(request.urn), request.id))
        if made_by_others is not None:
            return provider_pb2.ReadResponse(id=request.id, properties=_struct(made_by_others))
        thing = self._cloud.things.get((request.urn, request.id))
        if thing is None:
            return provider_pb2.ReadResponse()  # without an id: it does not exist
        return provider_pb2.ReadResponse(id=request.id, properties=_struct(thing.outputs), inputs=_struct(thing.inputs))

    def Update(self, request: Any, _context: Any) -> Any:
        if request.preview:
            return provider_pb2.UpdateResponse(properties=request.news)
        kind, name, inputs = _kind(request.urn), _name(request.urn), _plain(request.news)
        _, outputs = mocks.resource_answer(kind, name, inputs, self._cloud.region)
        outputs |= self._cloud.given.get(kind, {})
        with self._cloud.lock:
            self._cloud.things[request.urn, request.id] = Thing(kind, name, inputs, outputs)
            self._cloud.done.append(("update", kind, name))
        return provider_pb2.UpdateResponse(properties=_struct(outputs))

    def Delete(self, request: Any, _context: Any) -> Any:
        with self._cloud.lock:
            self._cloud.things.pop((request.urn, request.id), None)
            self._cloud.done.append(("delete", _kind(request.urn), _name(request.urn)))
        return empty_pb2.Empty()

    def Cancel(self, _request: Any, _context: Any) -> Any:
        return empty_pb2.Empty()


@contextmanager
def serve(cloud: Cloud, packages: Sequence[str] = PACKAGES, plugin: type[StandIn] = StandIn) -> Iterator[str]:
    """One server on loopback for these packages; yields the value of PULUMI_DEBUG_PROVIDERS."""
    server = grpc.server(futures.ThreadPoolExecutor(16), options=[("grpc.max_receive_message_length", 400 * 1024 * 1024)])
    provider_pb2_grpc.add_ResourceProviderServicer_to_server(plugin(cloud), server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    try:
        yield ",".join(f"{package}:{port}" for package in packages)
    finally:
        server.stop(None).wait(5)


def _kind(urn: str) -> str:
    return urn.split("::")[2].rsplit("$", 1)[-1]


def _name(urn: str) -> str:
    return urn.split("::", 3)[3]


def _plain(struct: Any) -> dict[str, Any]:
    found: dict[str, Any] = _whole(json_format.MessageToDict(struct))
    return found


def _whole(value: Any) -> Any:
    """Protobuf knows no integers."""
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, Mapping):
        return {key: _whole(each) for key, each in value.items()}
    if isinstance(value, list):
        return [_whole(each) for each in value]
    return value


def _struct(values: Mapping[str, Any]) -> Any:
    made = struct_pb2.Struct()
    json_format.ParseDict(dict(values), made)
    return made
