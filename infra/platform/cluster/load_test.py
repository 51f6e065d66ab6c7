"""Load tests from inside the cluster: Locust's master with its page, workers, and a mock of a language model where one is asked for.
Made only where `teal:load` has workers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, cast

import pulumi
from pulumi_kubernetes import apps, core

from contract import quantities, scrape
from infra.config.sections import LOAD_CPU, LOAD_GIB
from infra.platform.cluster import restricted
from infra.platform.network import namespaces, rules

NAMESPACE: Final = "teal-load"
MASTER: Final = scrape.LOAD_GENERATOR
WORKER: Final = "load-worker"
MOCK_MODEL: Final = "mock-model"
MOCK_MODEL_URL: Final = f"http://{MOCK_MODEL}.{NAMESPACE}:{namespaces.MOCK_MODEL}/v1"
# The operator makes this Secret, because the service makes the keys and they expire:
# kubectl create secret generic load-keys -n teal-load --from-literal=LOCUST_LOAD_KEYS=...
KEYS: Final = "load-keys"
VARIABLE: Final = "LOCUST_LOAD_KEYS"
PAGE: Final = 8089
USER: Final = 10001  # the image's own (loadtests/Dockerfile)
_OUT: Final = "/tmp/load"  # noqa: S108 - in the container; each run has a folder there, which the page serves under /reports
_ASK_PAGE: Final = f"import urllib.request as u; u.urlopen('http://127.0.0.1:{PAGE}/', timeout=5)"
# A worker whose master is gone reconnects when it is back; Locust's default is to wait a minute and end.
_ASK_MASTER: Final = f"import socket; socket.create_connection(('{MASTER}', {namespaces.LOCUST}), 5)"


@dataclass(frozen=True)
class LoadTestArgs:
    """`url`: the service's. `image`: loadtests/Dockerfile's, by digest. `cidr`: the VPC's. `ready`: what must exist before pods can run.
    `callers_of_mock_model`: namespaces whose pods call the mock model; empty: none runs."""

    url: pulumi.Input[str]
    image: str
    workers: int
    cidr: str
    provider: pulumi.ProviderResource
    ready: Sequence[pulumi.Resource] = ()
    callers_of_mock_model: Sequence[str] = ()


class LocustDeployment(pulumi.ComponentResource):
    """One master and `workers` workers, idle until a person starts a shape on the master's page, and the mock model.
    Cost: a core each, even idle."""

    def __init__(self, name: str, args: LoadTestArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("teal:infra:LoadTest", name, None, opts)
        namespace = core.v1.Namespace(
            name,
            metadata={"name": NAMESPACE, "labels": {"pod-security.kubernetes.io/enforce": "restricted"}},
            opts=pulumi.ResourceOptions(parent=self, provider=args.provider, depends_on=list(args.ready)),
        )
        inside = pulumi.ResourceOptions(parent=self, provider=args.provider, depends_on=[namespace])
        closed = rules.install_policies(name, NAMESPACE, namespaces.load_test(args.cidr, args.callers_of_mock_model), inside)
        later = pulumi.ResourceOptions(parent=self, provider=args.provider, depends_on=[*closed])
        ports: list[dict[str, Any]] = [{"name": "workers", "port": namespaces.LOCUST, "targetPort": namespaces.LOCUST, "protocol": "TCP"},
                                       {"name": "http", "port": PAGE, "targetPort": PAGE, "protocol": "TCP"}]  # fmt: skip
        pods = [(MASTER, 1, master(args.url, args.image)), (WORKER, args.workers, worker(args.image))]
        services = [(MASTER, ports)]
        if args.callers_of_mock_model:
            pods.append((MOCK_MODEL, 1, mock_model(args.image)))
            services.append(
                (
                    MOCK_MODEL,
                    [{"name": "http", "port": namespaces.MOCK_MODEL, "targetPort": namespaces.MOCK_MODEL, "protocol": "TCP"}],
                )
            )
        for service, open_ports in services:
            core.v1.Service(
                f"{name}-{service.removeprefix('load-')}",
                metadata={"name": service, "namespace": NAMESPACE},
                spec=cast(Any, {"selector": _labels(service), "ports": open_ports}),
                opts=later,
            )
        for pod, replicas, container in pods:
            apps.v1.Deployment(
                f"{name}-{pod}",
                metadata={"name": pod, "namespace": NAMESPACE, "labels": _labels(pod)},
                spec=cast(Any, deployment(pod, replicas, container)),
                opts=later,
            )
        self.register_outputs({})


def master(url: pulumi.Input[str], image: str) -> dict[str, Any]:
    """Gives the workers their users, the shape and the keys; sends nothing itself."""
    arguments = ["--master", "--host", url, "--web-port", str(PAGE), "--load-out", _OUT]
    # Apart from the page, which starts load: the collector's network may reach this port alone.
    arguments += ["--load-metrics-address", "0.0.0.0", "--load-metrics-port", str(scrape.LOAD_METRICS_PORT)]
    keys = {"name": VARIABLE, "valueFrom": {"secretKeyRef": {"name": KEYS, "key": VARIABLE}}}
    answers = {"exec": {"command": ["python3", "-c", _ASK_PAGE]}, "periodSeconds": 20, "timeoutSeconds": 10}
    return {
        **_container(MASTER, image, arguments),
        "env": [keys],
        "ports": [
            {"name": "page", "containerPort": PAGE, "protocol": "TCP"},
            {"name": scrape.METRICS_PORT, "containerPort": scrape.LOAD_METRICS_PORT, "protocol": "TCP"},
            {"name": "workers", "containerPort": namespaces.LOCUST, "protocol": "TCP"},
        ],
        "readinessProbe": answers,
        "livenessProbe": answers | {"failureThreshold": 6},  # two minutes: a report of an hour's run takes seconds
    }


def worker(image: str) -> dict[str, Any]:
    """A Locust worker's container. It gets everything from its master, the keys included; a required option has a placeholder."""
    asks = {"exec": {"command": ["python3", "-c", _ASK_MASTER]}, "periodSeconds": 30, "timeoutSeconds": 10}
    arguments = ["--worker", "--master-host", MASTER, "--load-keys", "from-the-master"]
    return {**_container(WORKER, image, arguments), "livenessProbe": asks}


def mock_model(image: str) -> dict[str, Any]:
    """The mock model's container: the same image, another command. Its name in a request says how it behaves, so it has no settings."""
    answers = {
        "httpGet": {"path": "/healthz", "port": namespaces.MOCK_MODEL, "scheme": "HTTP"},
        "periodSeconds": 10,
        "timeoutSeconds": 5,
    }
    return {
        **_container(MOCK_MODEL, image, ["--host", "0.0.0.0", "--port", str(namespaces.MOCK_MODEL)]),
        "command": ["python3", "-m", "loadtests.mock_model"],
        "ports": [{"name": "http", "containerPort": namespaces.MOCK_MODEL, "protocol": "TCP"}],
        "readinessProbe": answers,
        "livenessProbe": answers | {"failureThreshold": 6},  # a minute: it shares its core with nobody
    }


def _container(name: str, image: str, arguments: Sequence[pulumi.Input[str]]) -> dict[str, Any]:
    size = {"cpu": f"{LOAD_CPU:g}", "memory": quantities.memory_quantity(int(LOAD_GIB * 1024))}
    return {
        "name": name,
        "image": image,
        "args": [*arguments],
        "resources": {"requests": size, "limits": size},
        "securityContext": restricted.CONTAINER,
        "volumeMounts": [{"name": "scratch", "mountPath": "/tmp"}],  # noqa: S108 - the container's own
    }


def deployment(name: str, replicas: int, container: dict[str, Any]) -> dict[str, Any]:
    """Pods of one kind, in the restricted profile."""
    pod = {
        "automountServiceAccountToken": False,
        "securityContext": restricted.pod_of(USER),
        "containers": [container],
        "volumes": [{"name": "scratch", "emptyDir": {"sizeLimit": "256Mi"}}],
    }
    return {
        "replicas": replicas,
        "revisionHistoryLimit": 2,
        "selector": {"matchLabels": _labels(name)},
        "template": {"metadata": {"labels": _labels(name)}, "spec": pod},
    }


def _labels(name: str) -> dict[str, str]:
    return {"app.kubernetes.io/name": name, "app.kubernetes.io/part-of": "teal"}
