"""`python -m app.admin` on AWS: a Kubernetes Job with the color's own image, in the color's namespace or the operator's.
Its log is the command's output."""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Final

from contract import pods, quantities
from contract.names import OPERATOR_NAMESPACE
from teal.aws.kubernetes import KubernetesClient, KubernetesFailed
from teal.aws.pod_reasons import MOUNT, pod_failure, pod_reasons
from teal.errors import AdminFailed
from teal.record.model import Color, ColorState

_LABEL: Final = "batch.kubernetes.io/job-name"
# Karpenter moves pods to save machines, and a moved pod makes its Job fail. Source: Go module sigs.k8s.io/karpenter,
# pkg/apis/v1/labels.go. A node that ends because of its age still ends the pod, after the pool's drain time.
STAYS: Final = {"karpenter.sh/do-not-disrupt": "true"}
_KEEP_SECONDS: Final = 3600  # the Job of a releaser that died is kept this long, so that its log can be read
_POLL_SECONDS: Final = 2.0
_TRIES: Final = 10  # unanswered polls in a row: 20 s, longer than the API server is away while EKS replaces it
# A first node of Auto Mode takes two minutes; an index of millions of passages is built for hours, everything else ends in minutes.
_DEADLINE_SECONDS: Final = 1800
_INDEX_DEADLINE_SECONDS: Final = 6 * 3600
# A registry throttles, and the secrets driver copies a Secret some seconds after its first pod: a pod that cannot start for so long never will.
# Until the Job's deadline nobody would hear why, and then its pods are gone, and their reasons with them.
_STUCK_SECONDS: Final = 120.0
# On a fresh node the mount of the secrets fails until the agent of Pod Identity is up, and kubelet tries again after 64 and then 128 s.
_MOUNT_SECONDS: Final = 240.0
_STUCK: Final = (
    "ErrImagePull", "ImagePullBackOff", "InvalidImageName", "CreateContainerConfigError", "CreateContainerError", MOUNT,
)  # fmt: skip


@dataclass(frozen=True)
class JobSettings:
    """Settings of a color's admin Jobs, from the platform's outputs.
    `secret_names`: variables and files; `cpu`, `memory_mib`: an app pod's requests."""

    namespace: str
    environment: str
    region: str
    secret_names: Sequence[str]
    cpu: str
    memory_mib: int
    operator_namespace: str = OPERATOR_NAMESPACE

    def place(self, command: str) -> str:
        """The namespace in which a command's Job runs."""
        return self.operator_namespace if pods.is_operator(command) else self.namespace


def manifest(name: str, color: Color, state: ColorState, settings: JobSettings, arguments: Sequence[str]) -> dict[str, Any]:
    """The Job's manifest: a single try, the environment of the color's own pods,
    and within the namespace's restricted security level."""
    identity = pods.OPERATOR if pods.is_operator(arguments[0]) else pods.service(settings.namespace)
    plain = pods.plain_variables(color, state, deployment=settings.environment, region=settings.region) | {"TEAL_SLOT": "admin"}
    labels = pods.pod_labels(color, "admin")
    memory = quantities.memory_quantity(settings.memory_mib)
    container = {
        "name": "admin",
        "image": state.image,
        "args": ["python3", "-m", "app.admin", *arguments],
        "env": pods.variables(settings.secret_names, identity.secret, plain),
        "resources": {
            "requests": {"cpu": quantities.cpu_quantity(quantities.millicores(settings.cpu)), "memory": memory},
            "limits": {"memory": memory},
        },
        "securityContext": dict(pods.CONTAINER_SECURITY),
        "volumeMounts": pods.mounts(),
    }
    pod = {
        "restartPolicy": "Never",
        "serviceAccountName": identity.account,
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "dnsConfig": dict(pods.DNS_CONFIG),
        "securityContext": pods.security_context(),
        "containers": [container],
        "volumes": pods.volumes(identity.provider_class),
    }
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"name": name, "namespace": settings.place(arguments[0]), "labels": labels},
        "spec": {
            "backoffLimit": 0,  # no retry: a command that failed half way is left for `teal repair`
            "activeDeadlineSeconds": _INDEX_DEADLINE_SECONDS if tuple(arguments[:1]) == ("index",) else _DEADLINE_SECONDS,
            "ttlSecondsAfterFinished": _KEEP_SECONDS,
            "template": {"metadata": {"labels": labels, "annotations": dict(STAYS)}, "spec": pod},
        },
    }


def run_admin_job(cluster: KubernetesClient, color: Color, state: ColorState, settings: JobSettings, arguments: tuple[str, ...],
        sleep: Callable[[float], None] = time.sleep) -> list[dict[str, Any]]:  # fmt: skip
    """Make the Job, wait for its end, return its JSON lines, and delete it. Raises AdminFailed with the command's own message.

    Cost: one pod for as long as it runs; on a new node two minutes more.
    """
    name, namespace = f"admin-{uuid.uuid4().hex[:12]}", settings.place(arguments[0])
    cluster.create_job(namespace, manifest(name, color, state, settings, arguments))
    try:
        succeeded = _wait(cluster, namespace, name, " ".join(arguments[:2]), sleep)
        found = cluster.pods(namespace, f"{_LABEL}={name}")
        log = cluster.log(namespace, str(found[0]["metadata"]["name"])) if found else ""
        return _answer(" ".join(arguments[:2]), log, succeeded, found[0] if found else {})
    finally:
        with suppress(KubernetesFailed):  # Kubernetes deletes it after an hour anyway, and its output matters more
            cluster.delete_job(namespace, name)


def _wait(cluster: KubernetesClient, namespace: str, name: str, command: str, sleep: Callable[[float], None]) -> bool:
    """Whether the Job succeeded; it ends by its own deadline. Raises AdminFailed when its pod cannot start."""
    silent, stuck_seconds, mount = 0, 0.0, False
    while True:
        try:
            job = cluster.job(namespace, name)
            stuck = "" if job is None or _ready(job) else _stuck(cluster, namespace, name)
            silent = 0
        except KubernetesFailed:
            silent += 1
            if silent > _TRIES:
                raise
            sleep(_POLL_SECONDS)
            continue
        if job is None:
            raise AdminFailed(command, code="job-gone", detail=f"Somebody removed the Job {namespace}/{name} while it ran",
                              action="teal repair", bad_input=False)  # fmt: skip
        ended = {each["type"] for each in job.get("status", {}).get("conditions", []) if each.get("status") == "True"}
        if ended & {"Complete", "Failed"}:
            return "Complete" in ended
        before, mount = mount, stuck.startswith(MOUNT)
        stuck_seconds = stuck_seconds + _POLL_SECONDS if stuck and mount == before else 0.0
        if stuck_seconds > (_MOUNT_SECONDS if mount else _STUCK_SECONDS):
            action = (
                "give its role the secret: runbooks/pods-pending.md"
                if mount
                else "let nodes pull the image, or release another one"
            )
            raise AdminFailed(command, code="job-stuck", detail=f"The pod of its Job cannot start: {stuck}",
                              action=action, bad_input=False)  # fmt: skip
        sleep(_POLL_SECONDS)


def _ready(job: Mapping[str, Any]) -> bool:
    return bool(job.get("status", {}).get("ready") or job.get("status", {}).get("conditions"))


def _stuck(cluster: KubernetesClient, namespace: str, name: str) -> str:
    """Why the Job's pod does not start, if that is none of the reasons that pass by themselves."""
    reasons = pod_reasons(cluster, namespace, cluster.pods(namespace, f"{_LABEL}={name}"))
    return next((reason for reason in reasons if reason.startswith(_STUCK)), "")


def _answer(command: str, log: str, succeeded: bool, pod: Mapping[str, Any]) -> list[dict[str, Any]]:
    rows = [row for line in log.splitlines() if (row := _object(line)) is not None]
    problem = next((row["error"] for row in rows if isinstance(row.get("error"), dict)), None)
    if problem is None and succeeded:
        return rows
    said = problem or {}
    ended = [each.get("state", {}).get("terminated", {}) for each in pod.get("status", {}).get("containerStatuses", [])]
    last = (log.strip().splitlines() or [pod_failure(pod) or "it said nothing before its end"])[-1]
    raise AdminFailed(command, code=str(said.get("code", "admin-failed")), detail=str(said.get("detail", last)),
                      action=str(said.get("action", "teal repair")), bad_input=any(each.get("exitCode") == 2 for each in ended))  # fmt: skip


def _object(line: str) -> dict[str, Any] | None:
    """The JSON object of an output line; None for the service's own log lines, which have a `logger`."""
    try:
        found = json.loads(line)
    except ValueError:
        return None
    return found if isinstance(found, dict) and "logger" not in found else None
