"""Network policies enforced: kube-network-policies of Kubernetes' own project judges the first packet of each connection in user space.

Its way from the kernel to the program is ours. The program asks for it by nftables' `queue`, which needs a kernel with CONFIG_NFT_QUEUE;
it binds its queue whether it got them or not, and iptables' NFQUEUE (CONFIG_NETFILTER_XT_TARGET_NFQUEUE) sends the same packets to the same
queue. One more place is ours: packets from pods to the node itself, where the stand-ins of the stores are.

The program's own rules are kept from the kernel, which would take part of them. It writes them anew whenever a pod or a policy changes, this kernel
refuses them at their last line and undoes the others, and with that it drops every packet that waits in a queue: the first packets of allowed
connections, and questions to the cluster's names, which are asked again only after 5 s.
"""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any, Final

import httpx

from tests.cluster.apiserver import TOKEN
from tests.node import pods
from tests.node.node import API_PORT, PODS, Node, await_true, process
from tests.node.node import NAME as NODE_NAME
from tests.services.go_tools import tool
from tests.services.required import require

NAME: Final = "kube-network-policies"
_METRICS: Final = "127.0.0.1:9080"
WAIT_SECONDS: Final = 3.0  # a packet that is dropped is sent again after 1 s
# A refusal says that the packet arrived, and that nobody listens there.
_TRY: Final = f"""
said=$(LC_ALL=C timeout {WAIT_SECONDS} bash -c 'exec 3<>/dev/tcp/$0/$1' "$0" "$1" 2>&1)
case "$? $said" in 124*) echo dropped;; 0*|*refused*) echo through;; *) echo "$said";; esac
"""
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
    require("nftables", "apt-get install nftables.", shutil.which("nft") is not None)
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
        running.enter_context(_table_kept_from_it(node))
        process(node.machine, NAME, command, running)
        await_true(lambda: _queue_is_read(node), NAME, _OPEN_SECONDS)
        own = [("POSTROUTING", "-p", "tcp", "-d", PODS, "--dport", str(port), "-j", *_QUEUE) for port in judged]
        for rule in (_KNOWN, *own, *_RULES):
            running.enter_context(node.machine.rule(*rule, table="mangle", first=False))
        yield


@contextmanager
def _table_kept_from_it(node: Node) -> Iterator[None]:
    """Until the block ends, nftables' table of the program's name belongs to another process, so that nothing may be put into it."""
    owner = subprocess.Popen(node.machine.command("nft", "--interactive"), stdin=subprocess.PIPE, text=True)
    with owner:  # closes what it reads, at whose end it ends, and the table with it
        print(f"add table inet {NAME} {{ flags owner; }}", file=owner.stdin, flush=True)
        await_true(lambda: NAME in node.machine.run("nft", "list", "tables"), f"the table {NAME}")
        yield


def outcome(node: Node, host: str, port: int, *before: str) -> str:
    """`dropped` or `through`: what becomes of a connection's first packet. `before`: a command that the attempt is made under."""
    return node.machine.run(*before, "bash", "-c", _TRY, host, str(port)).strip()


def outcome_of_pod(node: Node, pod: Mapping[str, Any], host: str, port: int) -> str:
    """The same from the pod's network."""
    return outcome(node, host, port, "nsenter", f"--net={pods.network_inside(node, pod)}")


def _queue_is_read(node: Node) -> bool:
    """Whether a program has bound the queue, as the kernel says."""
    queues = node.machine.run("cat", "/proc/net/netfilter/nfnetlink_queue").splitlines()
    return any(line.split()[0] == _QUEUE[2] for line in queues)
