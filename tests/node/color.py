"""One color of the dev stack as both programs make it, for this cluster: their own objects, with what the stores here are called.

Changed, and nothing else: the addresses in the record's configuration, no embedding model (the image has none, and Bedrock is not here),
and smaller requests of CPU, so that twice four pods find room on two cores.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from contract.color import ColorState
from contract.names import NAMESPACES, OPERATOR_NAMESPACE
from infra.evaluation.evaluate import Evaluation
from teal.aws.jobs import JobSettings
from tests.cluster.objects import APART, as_sent, custom_resource_definitions, objects
from tests.node.stores import Stores
from tests.unit.infra import service_program
from tests.unit.infra.conftest import evaluate

STACK: Final = "dev"
COLOR: Final = "blue"
NAMESPACE: Final = NAMESPACES[COLOR]
_CPU: Final = "150m"
_OURS: Final = (NAMESPACE, OPERATOR_NAMESPACE)
_POLICIES: Final = ("ValidatingAdmissionPolicy", "ValidatingAdmissionPolicyBinding")


def repository() -> str:
    """The only repository whose images the platform's admission policy lets in."""
    return str(_platform()["repository_url"])


def definitions() -> list[dict[str, Any]]:
    """Of the custom resources that a color has. Fetches Go modules the first time."""
    return [one for one in custom_resource_definitions() if one["spec"]["names"]["kind"] in _CUSTOM]


def platform_objects() -> list[dict[str, Any]]:
    """The color's and the operator's namespaces with all that the platform puts into them, and the admission policies."""
    found = [
        one
        for one in objects("platform", STACK)
        if one["metadata"].get("namespace", one["metadata"]["name"]) in _OURS or one["kind"] in _POLICIES
    ]
    return [one for one in found if one["kind"] != "TriggerAuthentication"]


def closed(namespace: str) -> list[dict[str, Any]]:
    """A namespace of the platform, and its network policies."""
    return [
        one
        for one in objects("platform", STACK)
        if one["kind"] in ("Namespace", "NetworkPolicy")
        and namespace in (one["metadata"].get("namespace"), one["metadata"]["name"])
    ]


def record(stores: Stores, digest: str, release_id: str, floor: int, more: Mapping[str, str] | None = None) -> dict[str, Any]:
    """The color's entry in the release record; `more`: settings besides those of the stores."""
    config = {
        "DATABASE_URL": stores.database,
        "TEAL_SEARCH": "elasticsearch",
        "ELASTICSEARCH_URL": stores.elasticsearch,
        "TEAL_EMBEDDING": "none",
        "TEAL_BACKUP_HOURS": "0",
        **(more or {}),
    }
    return service_program.record(
        COLOR, release_id=release_id, image=f"{repository()}@{digest}", config=config, replica_floor=floor
    )


def service_objects(entry: dict[str, Any]) -> list[dict[str, Any]]:
    """What the service program makes of an entry."""
    changed = {key: value for key, value in entry.items() if key != "color"}
    outputs = _platform()
    outputs = {**outputs, "service_defaults": {**outputs["service_defaults"], "cpu": _CPU}}
    made: Evaluation = service_program.evaluate(STACK, outputs, COLOR, **changed)
    return [as_sent(dict(one.inputs)) for one in made.resources if one.type.startswith("kubernetes:") and one.type not in APART]


def job_settings() -> JobSettings:
    """As `teal` makes them of the platform's outputs."""
    outputs = _platform()
    return JobSettings(
        namespace=NAMESPACE, environment=outputs["environment"], region=outputs["region"],
        secret_names=sorted(outputs["app_secrets"]), cpu=_CPU, memory_mib=outputs["service_defaults"]["memory_mib"],
    )  # fmt: skip


def state(entry: dict[str, Any]) -> ColorState:
    """The entry as `teal` holds it."""
    return ColorState.model_validate({key: value for key, value in entry.items() if key != "color"})


def _platform() -> dict[str, Any]:
    return dict(evaluate("platform", STACK).outputs)


_CUSTOM: Final = ("TargetGroupBinding", "ScaledObject", "SecretProviderClass")
