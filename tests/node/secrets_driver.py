"""A stand-in for the secrets store driver and its AWS provider: a CSI driver of the same name, which writes the files of a
SecretProviderClass from a dictionary. What the real one does besides, the copy into a Kubernetes Secret, the tests do before any pod.

It speaks CSI 1 and kubelet's registration of plugins. The few messages are read and written by hand, because no package has their classes.
Sources: csi.proto in Go module github.com/container-storage-interface/spec v1.9.0; pkg/apis/pluginregistration/v1/api.proto in k8s.io/kubelet.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import grpc

from contract.pods import SECRETS_DRIVER
from tests.node.machine import Machine

_VOLUME_CONTEXT: Final = 8  # fields of NodePublishVolumeRequest
_TARGET_OF_PUBLISH: Final = 4
_TARGET_OF_UNPUBLISH: Final = 2
_STOP_SECONDS: Final = 2.0
_Call = Callable[[bytes], bytes]


def driver_object() -> dict[str, Any]:
    """What tells Kubernetes of the driver, as the real one's chart does it."""
    return {
        "apiVersion": "storage.k8s.io/v1",
        "kind": "CSIDriver",
        "metadata": {"name": SECRETS_DRIVER},
        "spec": {"podInfoOnMount": True, "attachRequired": False, "volumeLifecycleModes": ["Ephemeral"]},
    }


@contextmanager
def serving(machine: Machine, files: Mapping[str, Mapping[str, str]]) -> Iterator[None]:
    """`files`: text by name of file, by name of SecretProviderClass. kubelet finds the driver by itself."""
    kubelet = machine.root / "var/lib/kubelet"
    folder = Path("plugins", SECRETS_DRIVER)
    (kubelet / folder).mkdir(parents=True, exist_ok=True)
    seen_inside = f"/var/lib/kubelet/{folder}/csi.sock"

    def publish(request: bytes) -> bytes:
        fields = _fields(request)
        context = dict(_entry(one) for one in fields.get(_VOLUME_CONTEXT, ()))
        target = machine.root / _text(fields[_TARGET_OF_PUBLISH]).lstrip("/")
        target.mkdir(exist_ok=True)
        for name, text in files[context["secretProviderClass"]].items():
            (target / name).write_text(text)
            (target / name).chmod(0o644)
        return b""

    def unpublish(request: bytes) -> bytes:
        shutil.rmtree(machine.root / _text(_fields(request)[_TARGET_OF_UNPUBLISH]).lstrip("/"), ignore_errors=True)
        return b""

    driver = {
        "csi.v1.Identity/GetPluginInfo": lambda _: _field(1, SECRETS_DRIVER) + _field(2, "0"),
        "csi.v1.Identity/GetPluginCapabilities": lambda _: b"",
        "csi.v1.Identity/Probe": lambda _: b"",
        "csi.v1.Node/NodeGetInfo": lambda _: _field(1, "node"),
        "csi.v1.Node/NodeGetCapabilities": lambda _: b"",
        "csi.v1.Node/NodePublishVolume": publish,
        "csi.v1.Node/NodeUnpublishVolume": unpublish,
    }
    registration = {
        "pluginregistration.Registration/GetInfo": lambda _: (
            _field(1, "CSIPlugin") + _field(2, SECRETS_DRIVER) + _field(3, seen_inside) + _field(4, "1.0.0")
        ),
        "pluginregistration.Registration/NotifyRegistrationStatus": lambda _: b"",
    }
    registered = kubelet / "plugins_registry" / f"{SECRETS_DRIVER}-reg.sock"
    with _listening(kubelet / folder / "csi.sock", driver), _listening(registered, registration):
        yield


@contextmanager
def _listening(socket: Path, calls: Mapping[str, _Call]) -> Iterator[None]:
    socket.parent.mkdir(exist_ok=True)
    server = grpc.server(ThreadPoolExecutor(4))
    server.add_generic_rpc_handlers((_Calls(calls),))
    server.add_insecure_port(f"unix:{socket}")
    server.start()
    try:
        yield
    finally:
        server.stop(_STOP_SECONDS).wait()


class _Calls(grpc.GenericRpcHandler):
    def __init__(self, calls: Mapping[str, _Call]) -> None:
        self._calls = calls

    def service(self, handler_call_details: Any) -> Any:
        call = self._calls.get(handler_call_details.method.lstrip("/"))
        if call is None:
            return None
        return grpc.unary_unary_rpc_method_handler(lambda request, _: call(request))  # without a serializer: bytes as they are


def _field(number: int, text: str) -> bytes:
    """A text of a message of Protocol Buffers."""
    data = text.encode()
    return _number(number << 3 | 2) + _number(len(data)) + data


def _number(value: int) -> bytes:
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*out, value])


def _fields(message: bytes) -> dict[int, list[bytes]]:
    """The texts and messages within a message, by field; numbers are passed over."""
    found: dict[int, list[bytes]] = {}
    place = 0
    while place < len(message):
        key, place = _read_number(message, place)
        size, place = _read_number(message, place)
        if key & 7 == 2:
            found.setdefault(key >> 3, []).append(message[place : place + size])
            place += size
        else:
            assert key & 7 == 0, f"wire type {key & 7} is not one that these messages have"
    return found


def _read_number(message: bytes, place: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = message[place]
        value |= (byte & 0x7F) << shift
        place, shift = place + 1, shift + 7
        if byte < 0x80:
            return value, place


def _entry(message: bytes) -> tuple[str, str]:
    fields = _fields(message)
    return _text(fields[1]), _text(fields.get(2, [b""]))


def _text(values: list[bytes]) -> str:
    return values[-1].decode()
