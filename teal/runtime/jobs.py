"""`python -m app.admin` on AWS: a Kubernetes Job in the color's namespace, from the color's own image; its log is its answer."""

from __future__ import annotations

import json
import re
import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Final

from teal.errors import AdminFailed
from teal.record import Color, ColorState
from teal.runtime.kubernetes import Cluster, KubernetesFailed

# What the platform puts into each color's namespace (infra/components/colors.py, infra/components/secrets.py).
SERVICE_ACCOUNT: Final = "teal"
SECRETS: Final = "teal"
# Jobs of these commands run as the search engine's operator, who may snapshot and restore; the service's own user may not.
OPERATOR: Final = "teal-operator"  # their service account and Secret
OPERATOR_CLASS: Final = "-operator"  # behind the namespace's name
OPERATOR_COMMANDS: Final = ("snapshot", "snapshots", "verify", "restore")
_SECRETS_DRIVER: Final = "secrets-store.csi.k8s.io"
_SECRETS_FOLDER: Final = "/mnt/secrets"
_USER: Final = 10001  # the image's own (app/Dockerfile)
_VARIABLE: Final = re.compile(r"^[A-Z][A-Z0-9_]*$")
_LABEL: Final = "batch.kubernetes.io/job-name"
_KEEP_SECONDS: Final = 3600  # the Job of a releaser that died stays this long to be read
_POLL_SECONDS: Final = 2.0
_TRIES: Final = 10  # unanswered polls in a row: 20 s, longer than an API server is away when EKS replaces one
# A first node of Auto Mode takes two minutes; an index of millions of passages is built for hours, everything else ends in minutes.
_DEADLINE_SECONDS: Final = 1800
_INDEX_DEADLINE_SECONDS: Final = 6 * 3600


@dataclass(frozen=True)
class JobSettings:
    """What the platform says about a color's pods. `secret_names`: variables and files; `cpu`, `memory_mib`: as an app pod asks."""

    namespace: str
    environment: str
    region: str
    secret_names: Sequence[str]
    cpu: str
    memory_mib: int


def manifest(name: str, color: Color, state: ColorState, settings: JobSettings, arguments: Sequence[str]) -> dict[str, Any]:
    """The Job: one try, the environment of the color's own pods, nothing that the namespace's restricted level refuses."""
    plain = {
        **state.config,
        "TEAL_ENVIRONMENT": settings.environment,
        "TEAL_RELEASE_ID": state.release_id,
        "TEAL_COLOR": color,
        "TEAL_INDEX": state.index,
        "TEAL_SLOT": "admin",
        "AWS_REGION": settings.region,
    }
    operator = arguments[0] in OPERATOR_COMMANDS
    account, held = (OPERATOR, OPERATOR) if operator else (SERVICE_ACCOUNT, SECRETS)
    secret = [
        {"name": each, "valueFrom": {"secretKeyRef": {"name": held, "key": each}}}
        for each in sorted(settings.secret_names)
        if _VARIABLE.match(each)  # the others are read as files
    ]
    labels = {"app.kubernetes.io/name": "teal", "teal/color": color, "app.kubernetes.io/component": "admin"}
    memory = f"{settings.memory_mib}Mi"
    container = {
        "name": "admin",
        "image": state.image,
        "args": ["python3", "-m", "app.admin", *arguments],
        # Secrets first: Kubernetes puts $(NAME) into a value only for names that stand before it.
        "env": [*secret, *({"name": each, "value": value} for each, value in sorted(plain.items()))],
        "resources": {"requests": {"cpu": settings.cpu, "memory": memory}, "limits": {"memory": memory}},
        "securityContext": {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}, "readOnlyRootFilesystem": True},
        "volumeMounts": [
            {"name": "data", "mountPath": "/data"},
            {"name": "tmp", "mountPath": "/tmp"},  # noqa: S108 - the container's own
            {"name": "secrets", "mountPath": _SECRETS_FOLDER, "readOnly": True},
        ],
    }
    pod = {
        "restartPolicy": "Never",
        "serviceAccountName": account,
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "securityContext": {
            "runAsNonRoot": True,
            "runAsUser": _USER,
            "runAsGroup": _USER,
            "fsGroup": _USER,
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "containers": [container],
        "volumes": [
            {"name": "data", "emptyDir": {"sizeLimit": "256Mi"}},
            {"name": "tmp", "emptyDir": {"sizeLimit": "256Mi"}},
            {
                "name": "secrets",
                "csi": {
                    "driver": _SECRETS_DRIVER,
                    "readOnly": True,
                    "volumeAttributes": {"secretProviderClass": f"{settings.namespace}{OPERATOR_CLASS if operator else ''}"},
                },
            },
        ],
    }
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"name": name, "namespace": settings.namespace, "labels": labels},
        "spec": {
            "backoffLimit": 0,  # a command that changed half is for `teal repair` to look at, not for a blind second try
            "activeDeadlineSeconds": _INDEX_DEADLINE_SECONDS if tuple(arguments[:1]) == ("index",) else _DEADLINE_SECONDS,
            "ttlSecondsAfterFinished": _KEEP_SECONDS,
            "template": {"metadata": {"labels": labels}, "spec": pod},
        },
    }


def run(cluster: Cluster, color: Color, state: ColorState, settings: JobSettings, arguments: tuple[str, ...],
        sleep: Callable[[float], None] = time.sleep) -> list[dict[str, Any]]:  # fmt: skip
    """Make the Job, wait for its end, read its JSON lines, remove it. Raises AdminFailed with the command's own words.

    Cost: one pod for as long as it runs; on a new node two minutes more.
    """
    name = f"admin-{uuid.uuid4().hex[:12]}"
    cluster.create_job(settings.namespace, manifest(name, color, state, settings, arguments))
    try:
        succeeded = _wait(cluster, settings.namespace, name, " ".join(arguments[:2]), sleep)
        pods = cluster.pods(settings.namespace, f"{_LABEL}={name}")
        log = cluster.log(settings.namespace, str(pods[0]["metadata"]["name"])) if pods else ""
        return _answer(" ".join(arguments[:2]), log, succeeded, pods[0] if pods else {})
    finally:
        with suppress(KubernetesFailed):  # it goes by itself after an hour, and its answer counts more
            cluster.delete_job(settings.namespace, name)


def _wait(cluster: Cluster, namespace: str, name: str, command: str, sleep: Callable[[float], None]) -> bool:
    """Whether the Job succeeded; it ends by its own deadline."""
    silent = 0
    while True:
        try:
            job = cluster.job(namespace, name)
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
        sleep(_POLL_SECONDS)


def _answer(command: str, log: str, succeeded: bool, pod: Mapping[str, Any]) -> list[dict[str, Any]]:
    rows = [row for line in log.splitlines() if (row := _object(line)) is not None]
    problem = next((row["error"] for row in rows if isinstance(row.get("error"), dict)), None)
    if problem is None and succeeded:
        return rows
    said = problem or {}
    ended = [each.get("state", {}).get("terminated", {}) for each in pod.get("status", {}).get("containerStatuses", [])]
    last = (log.strip().splitlines() or [why(pod) or "it said nothing before its end"])[-1]
    raise AdminFailed(command, code=str(said.get("code", "admin-failed")), detail=str(said.get("detail", last)),
                      action=str(said.get("action", "teal repair")), bad_input=any(each.get("exitCode") == 2 for each in ended))  # fmt: skip


def why(pod: Mapping[str, Any]) -> str:
    """What keeps a pod from running, in Kubernetes' words; empty when nothing does."""
    status = pod.get("status", {})
    for each in status.get("containerStatuses", []):
        waiting = each.get("state", {}).get("waiting")
        if waiting and waiting.get("reason") not in ("ContainerCreating", "PodInitializing"):
            return f"{waiting.get('reason')}: {waiting.get('message', '')}".rstrip(": ")
        if not each.get("ready") and each.get("lastState", {}).get("terminated"):
            ended = each["lastState"]["terminated"]
            return f"ended with code {ended.get('exitCode')}: {ended.get('reason', '')}".rstrip(": ")
    for each in status.get("conditions", []):
        if each.get("type") == "PodScheduled" and each.get("status") == "False":
            return f"{each.get('reason')}: {each.get('message', '')}".rstrip(": ")
    return ""


def _object(line: str) -> dict[str, Any] | None:
    """A line of the answer; lines of the service's own log have a `logger`."""
    try:
        found = json.loads(line)
    except ValueError:
        return None
    return found if isinstance(found, dict) and "logger" not in found else None
