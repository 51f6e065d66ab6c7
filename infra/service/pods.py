"""The pods of a color as plain data: what both processes share, and what each adds."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any, Final

from infra import scraped
from infra.components import restricted
from infra.components.colors import PROBE_VARIABLE, SECRETS, SERVICE_ACCOUNT
from infra.components.load_balancer_access import POD_PORT
from infra.components.secrets import FILES, volume
from infra.service.given import Given

WORKER_METRICS_PORT: Final = 9102
USER: Final = 10001  # the image's own (app/Dockerfile)
# The load balancer goes on sending requests for a moment after a pod was told to end, and open ones may take as long as its
# deregistration delay. The target groups wait 30 s (infra/components/load_balancer.py); a test holds this above it.
PRE_STOP_SECONDS: Final = 45
_DRAIN_SECONDS: Final = 32  # app/main.py: 2 s not ready, then 30 s for requests that are open
_SPARE_SECONDS: Final = 13  # to close connections and write the last log lines
APP_GRACE_SECONDS: Final = PRE_STOP_SECONDS + _DRAIN_SECONDS + _SPARE_SECONDS
WORKER_GRACE_SECONDS: Final = 30  # app/worker.py stops within 18 s
_VARIABLE: Final = re.compile(r"^[A-Z][A-Z0-9_]*$")
_SCRATCH: Final = "256Mi"  # uploads are read from /tmp; the largest is 10 MB
_DISK: Final = "512Mi"  # both scratch folders, and what a log line needs


def environment(given: Given, slot_field: str, held: str = SECRETS) -> list[dict[str, Any]]:
    """The container's environment: secrets by reference (to the Secret `held`), the record's configuration, and what makes this pod this color."""
    record = given.record
    fixed = {
        "TEAL_ENVIRONMENT": given.platform.environment,
        "TEAL_RELEASE_ID": record.release_id,
        "TEAL_COLOR": record.color,
        "TEAL_INDEX": record.index,
        "AWS_REGION": given.platform.region,
    }
    plain = {**record.config, **fixed}
    names = set(given.platform.app_secrets) | ({PROBE_VARIABLE} if held == SECRETS else set[str]())  # an operator sends no probes
    secret: list[dict[str, Any]] = [
        {"name": name, "valueFrom": {"secretKeyRef": {"name": held, "key": name}}}
        for name in sorted(names)
        if _VARIABLE.match(name)  # the others are read as files
    ]
    named: list[dict[str, Any]] = [{"name": name, "value": value} for name, value in sorted(plain.items())]
    # Secrets first: Kubernetes puts $(NAME) into a value only for names that stand before it.
    return [*secret, *named, {"name": "TEAL_SLOT", "valueFrom": {"fieldRef": {"fieldPath": slot_field}}}]


def web_pod(given: Given) -> dict[str, Any]:
    """The pod that answers HTTP."""
    live = {"httpGet": {"path": "/healthz", "port": "http"}, "timeoutSeconds": 5}
    container = {
        **_container(given, "metadata.name"),
        "name": "app",
        "args": ["python3", "-m", "app.main", "--host", "0.0.0.0", "--port", str(POD_PORT)],
        "ports": [{"name": scraped.WEB_PORT, "containerPort": POD_PORT, "protocol": "TCP"}],
        "startupProbe": {**live, "periodSeconds": 2, "failureThreshold": 60},  # two minutes for a first, cold start
        # /readyz stays 200 while a part that all pods share is away, so that a database's failover does not empty the target group.
        "readinessProbe": {
            "httpGet": {"path": "/readyz", "port": "http"},
            "periodSeconds": 5,
            "timeoutSeconds": 3,
            "failureThreshold": 2,
        },
        "livenessProbe": {**live, "periodSeconds": 10, "failureThreshold": 6},  # a loop stuck for a minute will not recover
        "lifecycle": {"preStop": {"sleep": {"seconds": PRE_STOP_SECONDS}}},
    }
    return _pod(given, "app", container, APP_GRACE_SECONDS)


def worker_pod(given: Given) -> dict[str, Any]:
    """The pod that ingests. Its slot is its place in the StatefulSet, so a pod that comes back recovers its own jobs."""
    # From inside: the network policies let the collector in, and no node.
    ask = f"import urllib.request as u; u.urlopen('http://127.0.0.1:{WORKER_METRICS_PORT}/metrics', timeout=5)"
    alive = {"exec": {"command": ["python3", "-c", ask]}, "timeoutSeconds": 10}
    container = {
        **_container(given, "metadata.labels['apps.kubernetes.io/pod-index']"),
        "name": "worker",
        "args": ["python3", "-m", "app.worker", "--metrics-address", "0.0.0.0", "--metrics-port", str(WORKER_METRICS_PORT)],
        "ports": [{"name": scraped.METRICS_PORT, "containerPort": WORKER_METRICS_PORT, "protocol": "TCP"}],
        "startupProbe": {**alive, "periodSeconds": 5, "failureThreshold": 24},
        "livenessProbe": {**alive, "periodSeconds": 30, "failureThreshold": 4},
    }
    return _pod(given, "worker", container, WORKER_GRACE_SECONDS)


def job_pod(given: Given, component: str, arguments: Sequence[str], *, account: str, secrets: dict[str, Any]) -> dict[str, Any]:
    """A pod that runs `python -m app.admin ARGUMENTS` and ends, as another account than the service's, with that one's secrets."""
    container = {
        **_container(given, "metadata.name"),
        "name": component,
        "args": ["python3", "-m", "app.admin", *arguments],
        "env": environment(given, "metadata.name", held=account),
    }
    pod = _pod(given, component, container, WORKER_GRACE_SECONDS)
    spec = pod["spec"]
    volumes = [secrets if one["name"] == secrets["name"] else one for one in spec["volumes"]]
    return {**pod, "spec": {**spec, "serviceAccountName": account, "restartPolicy": "Never", "volumes": volumes}}


def labels(given: Given, component: str) -> dict[str, str]:
    """What selects the pods of one component; never changes while the color lives."""
    return {**given.labels, "app.kubernetes.io/component": component}


def _container(given: Given, slot_field: str) -> dict[str, Any]:
    defaults = given.platform.service_defaults
    memory = f"{defaults.memory_mib}Mi"
    return {
        "image": given.record.image,
        "imagePullPolicy": "IfNotPresent",  # by digest: what is there is what was asked for
        "env": environment(given, slot_field),
        "resources": {
            "requests": {"cpu": defaults.cpu, "memory": memory, "ephemeral-storage": _DISK},
            # Twice the CPU: a short burst is not throttled, and one pod cannot take a node. Memory is what was asked for.
            "limits": {"cpu": f"{2 * millicores(defaults.cpu)}m", "memory": memory, "ephemeral-storage": _DISK},
        },
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "capabilities": {"drop": ["ALL"]},
            "readOnlyRootFilesystem": True,
            "runAsNonRoot": True,
        },
        "volumeMounts": [
            {"name": "data", "mountPath": "/data"},
            {"name": "tmp", "mountPath": "/tmp"},  # noqa: S108 - the container's own
            {"name": "secrets", "mountPath": FILES, "readOnly": True},
        ],
    }


def _pod(given: Given, component: str, container: Mapping[str, Any], grace_seconds: int) -> dict[str, Any]:
    selected = labels(given, component)
    return {
        "metadata": {
            "labels": {**selected, "app.kubernetes.io/version": given.record.release_id},
            # A new version of a secret is a new pod: variables are read once.
            "annotations": {"teal/secret-versions": json.dumps(dict(given.record.secret_versions), sort_keys=True)},
        },
        "spec": {
            "serviceAccountName": SERVICE_ACCOUNT,
            "automountServiceAccountToken": False,
            "enableServiceLinks": False,  # variables such as TEAL_PORT would look like settings
            "terminationGracePeriodSeconds": grace_seconds,
            "securityContext": restricted.pod_of(USER),
            # Anyway: when a zone is gone, pods crowd into the others rather than wait for it.
            "topologySpreadConstraints": [
                {
                    "maxSkew": 1,
                    "topologyKey": key,
                    "whenUnsatisfiable": "ScheduleAnyway",
                    "labelSelector": {"matchLabels": selected},
                }
                for key in ("topology.kubernetes.io/zone", "kubernetes.io/hostname")
            ],
            "containers": [dict(container)],
            "volumes": [
                {"name": "data", "emptyDir": {"sizeLimit": _SCRATCH}},
                {"name": "tmp", "emptyDir": {"sizeLimit": _SCRATCH}},
                volume(given.namespace),
            ],
        },
    }


def millicores(cpu: str) -> int:
    """`500m` and `2` as thousandths of a CPU."""
    return int(cpu[:-1]) if cpu.endswith("m") else 1000 * int(cpu)
