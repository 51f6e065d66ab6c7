"""A second node joined to the first: a machine of its own on the same bridge, with containerd, kubelet and kube-proxy. Each knows the way to the
other's pods, as a VPC does. It speaks to the API server at the first one's address, and its pods to CoreDNS there."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Final

from tests.node import machine, node
from tests.node.node import Node
from tests.services.go_tools import tool

NAME: Final = "node-2"
ADDRESS: Final = "10.40.0.11"
PODS: Final = "10.40.33.0/24"


@contextmanager
def join(first: Node) -> Iterator[Node]:
    """Ready, and gone at the end, from the API server's objects too."""
    programs = {name: tool(name) for name in ("kubelet", "kube-proxy", "pause")}
    with machine.folder_of_its_own() as folder, ExitStack() as running:
        began = time.monotonic()
        inner = running.enter_context(machine.start_beside(first.machine, folder, programs["pause"], ADDRESS, NAME))
        first.machine.run("ip", "route", "add", PODS, "via", ADDRESS)
        running.callback(first.machine.run, "ip", "route", "delete", PODS)
        inner.run("ip", "route", "add", node.PODS, "via", first.machine.address)
        node.start_containerd(inner, PODS, running)
        node.kubeconfig(folder, first.server)
        node.import_pause(inner, programs["pause"])
        for name, flags in node.member_flags(inner, NAME).items():
            node.process(inner, name, [str(programs[name]), *flags], running)
        node.await_ready(first.server, inner, NAME)
        running.callback(first.server.ask, "DELETE", f"/api/v1/nodes/{NAME}")
        yield Node(first.server, inner, time.monotonic() - began, NAME)
