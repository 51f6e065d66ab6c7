"""A Kubernetes cluster of one node: the API server of tests/cluster, and on a machine of its own containerd, kubelet, controller manager,
scheduler, kube-proxy and CoreDNS, with the network plugins of Debian. Addresses are those of the stack dev; pods are routed, as on EKS, not bridged.

It is a cluster for tests: kubelet answers whoever is inside its network, and everybody in it is the administrator.
"""

from __future__ import annotations

import json
import tarfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from tests.cluster import apiserver
from tests.cluster.apiserver import ApiServer, conditions
from tests.node import aggregation, dns, images, machine
from tests.node.machine import ADDRESS, Machine
from tests.services.go_tools import NODE, tool

NAME: Final = "node"
PODS: Final = "10.40.32.0/24"  # addresses of pods; on EKS they are in the private subnets too
ALL_PODS: Final = "10.40.32.0/23"  # those of a second node too (second.py)
SERVICES: Final = "172.20.0.0/24"  # EKS takes 172.20.0.0/16 for a VPC whose addresses begin with 10
PAUSE: Final = "teal.test/pause:1"
API_PORT: Final = 443  # EKS' own, which network policies name
READY_SECONDS: Final = 90.0  # 12 s alone on two cores; CI machines are slower
IMPORT_SECONDS: Final = 300.0  # 300 MB are unpacked
_PODS_AT_MOST: Final = 60
# Of the API server: the Service `kubernetes` leads pods to it.
_SERVER: Final = (
    "--kubelet-preferred-address-types", "InternalIP", "--advertise-address", ADDRESS, "--endpoint-reconciler-type", "lease",
    "--service-cluster-ip-range", SERVICES,
)  # fmt: skip


@dataclass(frozen=True)
class Node:
    """`server`: its API. `ready_seconds`: from the first of its programs to the node's own word that it is ready. `name`: the server's for it."""

    server: ApiServer
    machine: Machine
    ready_seconds: float
    name: str = NAME

    def load(self, archive: Path, name: str = "") -> str:
        """Load a docker archive's image, also as `name@DIGEST` if a name is given, as a pull would; the digest."""
        ctr = ("ctr", "--namespace", "k8s.io", "images")
        self.machine.run(*ctr, "import", str(archive), seconds=IMPORT_SECONDS)
        tag = _tag(archive)
        row = next(line.split() for line in self.machine.run(*ctr, "ls").splitlines() if line.split()[0] == tag)
        digest = next(word for word in row if word.startswith("sha256:"))
        if name:
            self.machine.run(*ctr, "tag", "--force", tag, f"{name}@{digest}")
        return digest

    def pods(self, namespace: str, **labels: str) -> list[dict[str, Any]]:
        """Those that are not being ended."""
        selector = ",".join(f"{key}={value}" for key, value in labels.items())
        found = self.server.ask("GET", f"/api/v1/namespaces/{namespace}/pods", params={"labelSelector": selector})["items"]
        return [pod for pod in found if "deletionTimestamp" not in pod["metadata"]]


@contextmanager
def start(more: Sequence[str] = ()) -> Iterator[Node]:
    """Boots it, and waits until the node is ready; gone at the end. Skips (fails in CI) without root, Linux or the programs.
    `more`: arguments of the API server."""
    machine.require_machine()
    programs = {name: tool(name) for name in ("kube-apiserver", *NODE, "pause", "coredns")}  # before the network is another one
    with machine.folder_of_its_own() as folder, ExitStack() as running:
        shared, api = folder / "machine", folder / "api"
        shared.mkdir()
        api.mkdir()
        inner = running.enter_context(machine.start(shared, programs["pause"]))
        began = time.monotonic()
        start_containerd(inner, PODS, running)
        server = running.enter_context(
            apiserver.start(api, more=(*_SERVER, *aggregation.flags(api), *more), address=ADDRESS, port=API_PORT)
        )
        account = ("--kubeconfig", str(kubeconfig(shared, server)))
        import_pause(inner, programs["pause"])
        delegated = ("--authentication-kubeconfig", account[1], "--authorization-kubeconfig", account[1])
        flags: Mapping[str, tuple[str, ...]] = {
            **member_flags(inner, NAME),
            "kube-controller-manager": (
                *account, "--leader-elect=false", "--bind-address", "127.0.0.1", *delegated,
                "--horizontal-pod-autoscaler-sync-period", "3s",
                "--root-ca-file", str(server.ca),  # pods that speak to the API server get it with their token
            ),
            "kube-scheduler": (*account, "--leader-elect=false", "--bind-address", "127.0.0.1", *delegated),
            "coredns": dns.configure(inner),
        }  # fmt: skip
        for name in flags:
            process(inner, name, [str(programs[name]), *flags[name]], running)
        for document in dns.objects():
            server.apply(document, "cluster")
        await_true(dns.ready, "CoreDNS")
        await_ready(server, inner, NAME)
        yield Node(server, inner, time.monotonic() - began)


def member_flags(inner: Machine, name: str) -> Mapping[str, tuple[str, ...]]:
    """Arguments of what every node of a cluster runs besides containerd."""
    folder = inner.folder
    return {
        "kubelet": (
            "--config", f"{folder}/kubelet.json", "--kubeconfig", f"{folder}/kubeconfig",
            "--hostname-override", name, "--node-ip", inner.address,
        ),
        "kube-proxy": ("--config", f"{folder}/kube-proxy.json", "--hostname-override", name),
    }  # fmt: skip


def await_ready(server: ApiServer, inner: Machine, name: str) -> None:
    """Until the node says so itself. Raises with the ends of its logs."""
    document = {"apiVersion": "v1", "kind": "Node", "metadata": {"name": name}}
    try:
        await_true(lambda: "True" in conditions(server.read(document) or {}, "Ready"), f"node {name}")
    except TimeoutError as error:
        raise RuntimeError(f"{error}; {logs(inner)}") from error


def await_true(condition: Callable[[], object], what: str, seconds: float = READY_SECONDS) -> None:
    """Raises TimeoutError."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError(f"{what}: not as it should be after {seconds:.0f} s")
        time.sleep(0.2)


def logs(inner: Machine) -> str:
    """The end of each program's log."""
    return "\n".join(f"{log.name}:\n{log.read_text(errors='replace')[-2500:]}" for log in sorted(inner.folder.glob("*.log")))


def start_containerd(inner: Machine, pods: str, running: ExitStack) -> None:
    """And write the configuration of all that a node runs. `pods`: its addresses for them."""
    _configure(inner, pods)
    process(inner, "containerd", ["containerd", "--config", f"{inner.folder}/containerd.toml"], running)


def _configure(inner: Machine, pods: str) -> None:
    folder = inner.folder
    cri = 'plugins."io.containerd.grpc.v1.cri"'
    (folder / "containerd.toml").write_text("\n".join((
        "version = 2", f"[{cri}]", f'sandbox_image = "{PAUSE}"',
        "restrict_oom_score_adj = true",  # not every root may lower it
        f"[{cri}.containerd.runtimes.runc]", 'runtime_type = "io.containerd.runc.v2"',
        f"[{cri}.cni]", 'bin_dir = "/usr/lib/cni"', f'conf_dir = "{folder}/cni"', "",
    )))  # fmt: skip
    (folder / "cni").mkdir()
    link = {
        "type": "ptp", "ipMasq": False,
        "ipam": {"type": "host-local", "ranges": [[{"subnet": pods}]], "routes": [{"dst": "0.0.0.0/0"}]},
    }  # fmt: skip
    plugins = {
        "cniVersion": "0.4.0",
        "name": "pods",
        "plugins": [link, {"type": "portmap", "capabilities": {"portMappings": True}}],
    }
    (folder / "cni" / "10-pods.conflist").write_text(json.dumps(plugins))
    kubelet = {
        "apiVersion": "kubelet.config.k8s.io/v1beta1", "kind": "KubeletConfiguration",
        "address": inner.address, "healthzBindAddress": "127.0.0.1",
        "authentication": {"anonymous": {"enabled": True}, "webhook": {"enabled": False}},
        "authorization": {"mode": "AlwaysAllow"},  # only who is inside its network reaches it
        "containerRuntimeEndpoint": "unix:///run/containerd/containerd.sock",
        "cgroupDriver": "cgroupfs", "cgroupRoot": f"/{inner.cgroup}", "failCgroupV1": False, "failSwapOn": False,
        "oomScoreAdj": 0, "maxPods": _PODS_AT_MOST, "resolvConf": f"{folder}/resolv.conf",
        "clusterDNS": [dns.ADDRESS], "clusterDomain": dns.DOMAIN,
        "volumePluginDir": "/var/lib/kubelet/volume-plugins", "nodeStatusUpdateFrequency": "2s",
        "evictionHard": {"memory.available": "50Mi", "nodefs.available": "1%", "imagefs.available": "1%"},
        "imageGCHighThresholdPercent": 100, "imageMinimumGCAge": "24h",  # nothing can be pulled again here
    }  # fmt: skip
    (folder / "kubelet.json").write_text(json.dumps(kubelet))
    proxy = {
        "apiVersion": "kubeproxy.config.k8s.io/v1alpha1", "kind": "KubeProxyConfiguration", "mode": "iptables", "clusterCIDR": ALL_PODS,
        "bindAddress": inner.address, "healthzBindAddress": "127.0.0.1:10256", "metricsBindAddress": "127.0.0.1:10249",
        "clientConnection": {"kubeconfig": f"{folder}/kubeconfig"}, "oomScoreAdj": 0,
        # These would be set for the whole machine.
        "conntrack": {"maxPerCore": 0, "min": 0, "tcpEstablishedTimeout": "0s", "tcpCloseWaitTimeout": "0s"},
    }  # fmt: skip
    (folder / "kube-proxy.json").write_text(json.dumps(proxy))


def kubeconfig(folder: Path, server: ApiServer, name: str = "kubeconfig", token: str = apiserver.TOKEN) -> Path:
    """Written into the folder; without a token it is the administrator's."""
    document = {
        "apiVersion": "v1", "kind": "Config", "current-context": "it",
        "clusters": [{"name": "it", "cluster": {"server": server.url, "certificate-authority": str(server.ca)}}],
        "users": [{"name": "it", "user": {"token": token}}],
        "contexts": [{"name": "it", "context": {"cluster": "it", "user": "it"}}],
    }  # fmt: skip
    path = folder / name
    path.touch(mode=0o600)
    path.write_text(json.dumps(document))
    return path


def process(inner: Machine, name: str, command: list[str], running: ExitStack) -> int:
    """Start a program of the node's, whose log is in its folder; its number, as the outer machine counts. It ends with `running`, or with the
    machine."""
    said = running.enter_context((inner.folder / f"{name}.log").open("wb"))
    return running.enter_context(inner.program(*command, said=said))


def import_pause(inner: Machine, program: Path) -> None:
    """Wait for containerd, and give it the image that each pod begins with."""
    await_true(lambda: (inner.root / "run/containerd/containerd.sock").exists(), "containerd")
    archive = inner.folder / "pause.tar"
    images.write_program(archive, PAUSE, program)
    inner.run("ctr", "--namespace", "k8s.io", "images", "import", str(archive))


def _tag(archive: Path) -> str:
    with tarfile.open(archive) as packed:
        manifest = packed.extractfile("manifest.json")
        assert manifest is not None, archive
        tag: str = json.load(manifest)[0]["RepoTags"][0]
    return tag
