"""The pods of a color as plain data: the parts that web pods and workers share, and those of each."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, Final

from contract import pods, quantities, scrape
from contract.http import ALIVE_PATH, DEREGISTRATION_SECONDS, POD_PORT, READY_PATH
from contract.scrape import WORKER_METRICS_PORT
from infra.service.inputs import Inputs

# After a pod was told to end, the load balancer still sends it requests for a moment, and open requests may take as long as the
# deregistration delay. The pod serves until both are over.
PRE_STOP_SECONDS: Final = DEREGISTRATION_SECONDS + 15
_DRAIN_SECONDS: Final = 32  # app/main.py: 2 s not ready, then 30 s for requests that are open
_SPARE_SECONDS: Final = 13  # to close connections and write the last log lines
APP_GRACE_SECONDS: Final = PRE_STOP_SECONDS + _DRAIN_SECONDS + _SPARE_SECONDS
WORKER_GRACE_SECONDS: Final = 30  # app/worker.py stops within 18 s
STARTUP_SECONDS: Final = 120  # of a first, cold start; kubelet then ends the container and tries again
# How long the first pod of a color may take until it is ready, or else the release is undone. A pod that is slow for a good reason waits for a
# machine, which Auto Mode adds in two minutes; for some hundred MB from the registry; for its start, and once more for another one, because a
# part that it needs may be failing over; and for the load balancer, which checks it twice, 10 s apart, after its controller has seen it.
_NODE_SECONDS: Final = 120
_IMAGE_SECONDS: Final = 60
_BALANCER_SECONDS: Final = 45
START_SECONDS: Final = _NODE_SECONDS + _IMAGE_SECONDS + 2 * STARTUP_SECONDS + _BALANCER_SECONDS
_DISK: Final = "512Mi"  # both scratch folders, and what a log line needs


def container_environment(inputs: Inputs, slot_field: str, identity: pods.Identity) -> list[dict[str, Any]]:
    """The container's environment: secrets by reference, the record's configuration, and the variables of the color and the pod.

    `slot_field`: the field of the pod's description that names its slot.
    """
    record, platform = inputs.record, inputs.platform
    names = set(platform.app_secrets)
    if identity != pods.OPERATOR:
        names.add(pods.PROBE_VARIABLE)  # not needed by an operator's Job, which answers no probes
    plain = pods.plain_variables(record.color, record, deployment=platform.environment, region=platform.region)
    return [*pods.variables(names, identity.secret, plain), pods.field("TEAL_SLOT", slot_field)]


def web_pod(inputs: Inputs) -> dict[str, Any]:
    """The pod that answers HTTP."""
    identity = pods.service(inputs.namespace)
    live = {"httpGet": {"path": ALIVE_PATH, "port": "http"}, "timeoutSeconds": 5}
    container = {
        **_container(inputs, "metadata.name", identity),
        "name": "app",
        "args": ["python3", "-m", "app.main", "--host", "0.0.0.0", "--port", str(POD_PORT)],
        "ports": [{"name": scrape.WEB_PORT, "containerPort": POD_PORT, "protocol": "TCP"}],
        "startupProbe": {**live, "periodSeconds": 2, "failureThreshold": STARTUP_SECONDS // 2},
        # /readyz stays 200 while a part that all pods share is down, so that a database failover does not empty the target group.
        "readinessProbe": {
            "httpGet": {"path": READY_PATH, "port": "http"},
            "periodSeconds": 5,
            "timeoutSeconds": 3,
            "failureThreshold": 2,
        },
        "livenessProbe": {**live, "periodSeconds": 10, "failureThreshold": 6},  # a loop stuck for a minute will not recover
        "lifecycle": {"preStop": {"sleep": {"seconds": PRE_STOP_SECONDS}}},
    }
    return _pod(inputs, "app", container, APP_GRACE_SECONDS, identity)


def worker_pod(inputs: Inputs) -> dict[str, Any]:
    """The pod that ingests. Its slot is its place in the StatefulSet, so a pod that comes back recovers its own jobs."""
    identity = pods.service(inputs.namespace)
    # A command inside the pod, because the network policies allow the collector but no node to connect.
    ask = f"import urllib.request as u; u.urlopen('http://127.0.0.1:{WORKER_METRICS_PORT}/metrics', timeout=5)"
    alive = {"exec": {"command": ["python3", "-c", ask]}, "timeoutSeconds": 10}
    container = {
        **_container(inputs, "metadata.labels['apps.kubernetes.io/pod-index']", identity),
        "name": "worker",
        "args": ["python3", "-m", "app.worker", "--metrics-address", "0.0.0.0", "--metrics-port", str(WORKER_METRICS_PORT)],
        "ports": [{"name": scrape.METRICS_PORT, "containerPort": WORKER_METRICS_PORT, "protocol": "TCP"}],
        "startupProbe": {**alive, "periodSeconds": 5, "failureThreshold": STARTUP_SECONDS // 5},
        "livenessProbe": {**alive, "periodSeconds": 30, "failureThreshold": 4},
    }
    return _pod(inputs, "worker", container, WORKER_GRACE_SECONDS, identity)


def job_pod(inputs: Inputs, component: str, arguments: Sequence[str], identity: pods.Identity) -> dict[str, Any]:
    """A pod that runs `python -m app.admin ARGUMENTS` and ends, as `identity` and with its secrets."""
    container = {
        **_container(inputs, "metadata.name", identity),
        "name": component,
        "args": ["python3", "-m", "app.admin", *arguments],
    }
    pod = _pod(inputs, component, container, WORKER_GRACE_SECONDS, identity)
    return {**pod, "spec": {**pod["spec"], "restartPolicy": "Never"}}


def _container(inputs: Inputs, slot_field: str, identity: pods.Identity) -> dict[str, Any]:
    defaults = inputs.platform.service_defaults
    memory, cpu = quantities.memory_quantity(defaults.memory_mib), quantities.millicores(defaults.cpu)
    return {
        "image": inputs.record.image,
        "imagePullPolicy": "IfNotPresent",  # the image is named by digest, so a cached one is the right one
        "env": container_environment(inputs, slot_field, identity),
        "resources": {
            "requests": {"cpu": quantities.cpu_quantity(cpu), "memory": memory, "ephemeral-storage": _DISK},
            # The CPU limit is twice the request: short bursts are not throttled, and one pod cannot take a whole node.
            # The memory limit is the request.
            "limits": {"cpu": quantities.cpu_quantity(2 * cpu), "memory": memory, "ephemeral-storage": _DISK},
        },
        "securityContext": dict(pods.CONTAINER_SECURITY),
        "volumeMounts": pods.mounts(),
    }


def _pod(
    inputs: Inputs, component: str, container: Mapping[str, Any], grace_seconds: int, identity: pods.Identity
) -> dict[str, Any]:
    selected = inputs.labels(component)
    return {
        "metadata": {
            "labels": {**selected, "app.kubernetes.io/version": inputs.record.release_id},
            # A new version of a secret makes new pods, because variables are read only at the start.
            "annotations": {"teal/secret-versions": json.dumps(dict(inputs.record.secret_versions), sort_keys=True)},
        },
        "spec": {
            "serviceAccountName": identity.account,
            "automountServiceAccountToken": False,
            "enableServiceLinks": False,  # variables such as TEAL_PORT would look like settings
            "dnsConfig": dict(pods.DNS_CONFIG),
            "terminationGracePeriodSeconds": grace_seconds,
            "securityContext": pods.security_context(),
            # ScheduleAnyway: when a zone is down, pods run in the others instead of waiting for it.
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
            "volumes": pods.volumes(identity.provider_class),
        },
    }
