"""The names of the cluster: CoreDNS as a program of the node beside kubelet, as EKS Auto Mode runs it, behind the Service that pods are told.

It has no resolver to ask for other names: there are none here.
"""

from __future__ import annotations

import socket
import struct
from typing import Any, Final

import httpx

from tests.node.machine import ADDRESS as NODE_ADDRESS
from tests.node.machine import Machine

ADDRESS: Final = "172.20.0.10"  # of the Service; infra/platform/network/addresses.py lets pods ask it
DOMAIN: Final = "cluster.local"
_CACHE_SECONDS: Final = 5  # CoreDNS' own default for the names of a cluster
_READY: Final = "127.0.0.1:8181"
_NAMESPACE: Final = "kube-system"
_NAME: Final = "kube-dns"
_PORTS: Final = [{"name": protocol.lower(), "port": 53, "protocol": protocol} for protocol in ("UDP", "TCP")]


def configure(inner: Machine) -> tuple[str, ...]:
    """Write its configuration; its arguments."""
    (inner.folder / "Corefile").write_text(f"""\
.:53 {{
    errors
    health 127.0.0.1:8080
    ready {_READY}
    kubernetes {DOMAIN} in-addr.arpa {{
        kubeconfig {inner.folder}/kubeconfig it
    }}
    cache {_CACHE_SECONDS}
}}
""")
    return ("-conf", f"{inner.folder}/Corefile")


def ready() -> bool:
    """Whether it knows the cluster's objects; asked from the node's network."""
    try:
        return httpx.get(f"http://{_READY}/ready", timeout=5).is_success
    except httpx.HTTPError:
        return False


def answers(name: str, seconds: float = 3.0) -> bool:
    """Whether the Service of names knows an address of a name; asked as a pod asks it, from this thread's network."""
    labels = b"".join(bytes([len(label)]) + label.encode() for label in name.split("."))
    asked = (
        struct.pack(">6H", 1, 0x0100, 1, 0, 0, 0) + labels + b"\0" + struct.pack(">2H", 1, 1)
    )  # an address (A) of the internet (IN)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asking:
        asking.settimeout(seconds)
        try:
            asking.sendto(asked, (ADDRESS, 53))
            flags, _, found = struct.unpack(">3H", asking.recv(4096)[2:8])
        except OSError:
            return False
    return flags & 0x000F == 0 and found > 0


def objects() -> list[dict[str, Any]]:
    """The Service, whose one address is the node's."""
    return [
        {
            "apiVersion": "v1", "kind": "Service", "metadata": {"name": _NAME, "namespace": _NAMESPACE},
            "spec": {"clusterIP": ADDRESS, "ports": _PORTS},
        },
        {
            "apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "addressType": "IPv4", "ports": _PORTS,
            "metadata": {"name": f"{_NAME}-node", "namespace": _NAMESPACE, "labels": {"kubernetes.io/service-name": _NAME}},
            "endpoints": [{"addresses": [NODE_ADDRESS], "conditions": {"ready": True}}],
        },
    ]  # fmt: skip
