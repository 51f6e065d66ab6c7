"""Network policies enforced: kube-network-policies of Kubernetes' own project judges the first packet of each connection in user space.

Its way from the kernel to the program is ours. The program asks for it by nftables' `queue`, which needs a kernel with CONFIG_NFT_QUEUE;
it binds its queue whether it got them or not, and iptables' NFQUEUE (CONFIG_NETFILTER_XT_TARGET_NFQUEUE) sends the same packets to the same
queue. One more place is ours: packets from pods to the node itself, where the stand-ins of the stores are.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Final

import httpx

from tests.cluster.apiserver import TOKEN
from tests.node.node import API_PORT, PODS, Node, await_true, process
from tests.node.node import NAME as NODE_NAME
from tests.services.go_tools import tool

NAME: Final = "kube-network-policies"
_METRICS: Final = "127.0.0.1:9080"
_QUEUE: Final = ("NFQUEUE", "--queue-num", "100")  # the program's own number
# Where it looks for the account of its pod, which it is in a cluster.
_ACCOUNT: Final = "run/secrets/kubernetes.io/serviceaccount"
_OPEN_SECONDS: Final = 60.0  # until it knows every pod and policy; 1 s alone
_KNOWN: Final = ("POSTROUTING", "-m", "conntrack", "--ctstate", "ESTABLISHED,RELATED", "-j", "ACCEPT")
# As the program's own: what is known passes, and root's own on the node, or kubelet's probes would not; what it judges comes from or goes to pods.
_RULES: Final = (
    ("POSTROUTING", "-m", "owner", "--uid-owner", "0", "-j", "ACCEPT"),
    ("POSTROUTING", "-s", PODS, "-j", *_QUEUE),
    ("POSTROUTING", "-d", PODS, "-j", *_QUEUE),
    ("INPUT", "-m", "conntrack", "--ctstate", "ESTABLISHED,RELATED", "-j", "ACCEPT"),
    ("INPUT", "-s", PODS, "-j", *_QUEUE),
)


@contextmanager
def enforced(node: Node, judged: Sequence[int] = ()) -> Iterator[None]:
    """Until the block ends. `judged`: ports of pods at which the node's own programs are judged too, as machines of the VPC without a pod."""
    account = node.machine.root / _ACCOUNT
    account.mkdir(parents=True, exist_ok=True)
    (account / "token").write_text(TOKEN)
    (account / "ca.crt").write_bytes(node.server.ca.read_bytes())
    server = httpx.URL(node.server.url)
    command = [
        "env", f"KUBERNETES_SERVICE_HOST={server.host}", f"KUBERNETES_SERVICE_PORT={API_PORT}",
        str(tool(NAME)), "--hostname-override", NODE_NAME, "--metrics-bind-address", _METRICS,
    ]  # fmt: skip
    with ExitStack() as running:
        process(node.machine, NAME, command, running)
        await_true(lambda: _queue_is_read(node), NAME, _OPEN_SECONDS)
        own = [("POSTROUTING", "-p", "tcp", "-d", PODS, "--dport", str(port), "-j", *_QUEUE) for port in judged]
        for rule in (_KNOWN, *own, *_RULES):
            node.machine.run("iptables", "--table", "mangle", "--append", *rule)
            running.callback(node.machine.run, "iptables", "--table", "mangle", "--delete", *rule)
        yield


def _queue_is_read(node: Node) -> bool:
    """Whether a program has bound the queue, as the kernel says."""
    queues = node.machine.run("cat", "/proc/net/netfilter/nfnetlink_queue").splitlines()
    return any(line.split()[0] == _QUEUE[2] for line in queues)
