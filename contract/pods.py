"""A pod of the service's image as plain Kubernetes data, used by the color's Pulumi program and by the Jobs that `teal` creates.

Every default that the API server would add inside an atomic structure is written out. Server-side apply compares such a structure
as a whole: without the default, a second manager that applies the very same text gets a conflict.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from contract.color import Color, ColorState

USER: Final = 10001  # the image's own (app/Dockerfile)
SECRETS_DRIVER: Final = "secrets-store.csi.k8s.io"
SECRETS_FOLDER: Final = "/mnt/secrets"  # where a pod finds one file for each secret
PROBE_VARIABLE: Final = "TEAL_PROBE_SECRET"  # each color has its own value, so it is not one of the secrets that both colors read
NAME_LABEL: Final = "app.kubernetes.io/name"
COMPONENT_LABEL: Final = "app.kubernetes.io/component"
COLOR_LABEL: Final = "teal/color"
SERVICE: Final = "teal"  # value of NAME_LABEL on every pod of the service
SCRATCH: Final = "256Mi"  # of /tmp and /data each; uploads are read from /tmp, and the largest is 10 MB
_VARIABLE: Final = re.compile(r"^[A-Z][A-Z0-9_]*$")

# How a pod asks for names. A question that is lost is asked again after a second, within the 2 s that a search has
# (`search_timeout_seconds`); the C library would wait for 5.
DNS_CONFIG: Final[Mapping[str, Any]] = {"options": [{"name": "timeout", "value": "1"}, {"name": "attempts", "value": "3"}]}

CONTAINER_SECURITY: Final[Mapping[str, Any]] = {
    "allowPrivilegeEscalation": False,
    "capabilities": {"drop": ["ALL"]},
    "readOnlyRootFilesystem": True,
    "runAsNonRoot": True,
}


@dataclass(frozen=True)
class Identity:
    """A pod's identity: its service account, the Secret of its variables, and the SecretProviderClass of its mounted files."""

    account: str
    secret: str
    provider_class: str


OPERATOR_COMMANDS: Final = ("snapshot", "snapshots", "verify", "restore")
# Jobs of OPERATOR_COMMANDS run as the search engine's operator, who may snapshot and restore. The service's own user may not.
OPERATOR: Final = Identity("teal-operator", "teal-operator", "teal-operator")


def service(namespace: str) -> Identity:
    """The identity of one color's pods. Their SecretProviderClass has the namespace's name."""
    return Identity("teal", "teal", namespace)


def is_operator(command: str) -> bool:
    """Whether `python -m app.admin COMMAND` needs the operator's rights."""
    return command in OPERATOR_COMMANDS


def pod_labels(color: Color, component: str) -> dict[str, str]:
    """The labels that select the pods of one component of a color."""
    return {NAME_LABEL: SERVICE, COLOR_LABEL: color, COMPONENT_LABEL: component}


def security_context(user: int = USER) -> dict[str, Any]:
    """The pod's security context: its containers run as `user`, who owns the mounted volumes."""
    return {
        "runAsNonRoot": True,
        "runAsUser": user,
        "runAsGroup": user,
        "fsGroup": user,
        "seccompProfile": {"type": "RuntimeDefault"},
    }


def plain_variables(color: Color, state: ColorState, *, deployment: str, region: str) -> dict[str, str]:
    """The variables that are not secret. `deployment` is the stack's environment: dev, staging or prod."""
    fixed = {
        "TEAL_ENVIRONMENT": deployment,
        "TEAL_RELEASE_ID": state.release_id,
        "TEAL_COLOR": color,
        "TEAL_INDEX": state.index,
        "AWS_REGION": region,
    }
    return {**state.config, **fixed}


def variables(names: Iterable[str], secret: str, plain: Mapping[str, str]) -> list[dict[str, Any]]:
    """The container's `env`: first `names` from the Secret `secret`, then `plain`, whose values may
    refer to the names before them as $(NAME).

    A name that cannot be a variable (`search-ca.crt`) is mounted as a file and left out here.
    """
    held: list[dict[str, Any]] = [
        {"name": each, "valueFrom": {"secretKeyRef": {"name": secret, "key": each}}}
        for each in sorted(names)
        if _VARIABLE.match(each)
    ]
    return [*held, *({"name": each, "value": value} for each, value in sorted(plain.items()))]


def field(name: str, path: str) -> dict[str, Any]:
    """A variable whose value is the field `path` of the pod itself. `apiVersion` is written out: it is a default (see above)."""
    return {"name": name, "valueFrom": {"fieldRef": {"apiVersion": "v1", "fieldPath": path}}}


def mounts() -> list[dict[str, Any]]:
    """Where the container finds its two writable folders and its secrets."""
    return [
        {"name": "data", "mountPath": "/data"},
        {"name": "tmp", "mountPath": "/tmp"},  # noqa: S108 - the container's own
        {"name": "secrets", "mountPath": SECRETS_FOLDER, "readOnly": True},
    ]


def volumes(provider_class: str) -> list[dict[str, Any]]:
    """The volumes behind `mounts()`."""
    return [
        {"name": "data", "emptyDir": {"sizeLimit": SCRATCH}},
        {"name": "tmp", "emptyDir": {"sizeLimit": SCRATCH}},
        secrets_volume(provider_class),
    ]


def secrets_volume(provider_class: str) -> dict[str, Any]:
    """A volume with one file for each secret of a SecretProviderClass."""
    return {
        "name": "secrets",
        "csi": {"driver": SECRETS_DRIVER, "readOnly": True, "volumeAttributes": {"secretProviderClass": provider_class}},
    }
