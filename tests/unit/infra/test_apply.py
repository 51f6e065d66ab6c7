"""Server-side apply compares an atomic structure as a whole, defaults included. A default that is not written out becomes a conflict as soon
as a second manager applies the same text: so it was after a lost state, seen on a real API server for `fieldRef` without `apiVersion`.

Which structures are atomic, and which defaults the server adds in them: k8s.io/api types (`+structType=atomic`, `+listType=atomic`) and
pkg/apis/*/v1/defaults.go of Kubernetes 1.35: Go modules k8s.io/api v0.35.4 (core, rbac, admissionregistration) and k8s.io/kubernetes v1.35.4,
opened 2026-11-28.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

import pytest

from contract import quantities
from contract.color import ColorState
from infra.evaluation.evaluate import Evaluation
from teal.aws.jobs import JobSettings, manifest
from tests.unit.infra.conftest import STACKS, Program, evaluate

# The key of an atomic structure (or of a list of them), and what has to be written in it.
DEFAULTS = {
    "fieldRef": ("apiVersion", "fieldPath"),
    "resourceFieldRef": ("divisor", "resource"),
    "secretKeyRef": ("key", "name"),
    "configMapKeyRef": ("key", "name"),
    "serviceAccountToken": ("expirationSeconds", "path"),
    "ports": ("protocol",),
    "resourceRules": ("scope",),
    "subjects": ("apiGroup",),
    "roleRef": ("apiGroup",),
}
AMOUNTS = ("requests", "limits", "sizeLimit")


def missing(path: str, value: Any) -> Iterator[str]:
    """What has a default that the server would add, and every amount in another form than the server's."""
    if isinstance(value, Mapping):
        for key, each in value.items():
            for one in each if isinstance(each, list) else [each]:
                if key in DEFAULTS and isinstance(one, Mapping):
                    yield from (f"{path}.{key}: no {name}" for name in DEFAULTS[key] if name not in one)
            if key in AMOUNTS:
                yield from (
                    f"{path}.{key}: {one}"
                    for one in (each.values() if isinstance(each, Mapping) else [each] if key == "sizeLimit" else [])
                    if not canonical(str(one))
                )
            yield from missing(f"{path}.{key}", each)
    elif isinstance(value, list):
        for number, each in enumerate(value):
            yield from missing(f"{path}[{number}]", each)


def canonical(amount: str) -> bool:
    found = re.fullmatch(r"(\d+)(m|Ki|Mi|Gi|Ti)?", amount)
    if found is None:
        return False
    number, unit = int(found[1]), found[2]
    if unit is None or number == 0:
        return True
    return bool(number % 1000) if unit == "m" else unit == "Ti" or bool(number % 1024)


@pytest.mark.parametrize("program", ["platform", "service"])
@pytest.mark.parametrize("stack", STACKS)
def test_no_object_leaves_a_default_to_the_server_inside_an_atomic_structure(program: Program, stack: str) -> None:
    made: Evaluation = evaluate(program, stack)
    objects = [one for one in made.resources if one.type.startswith("kubernetes:") and "apiVersion" in one.inputs]
    assert len(objects) > 5
    assert [problem for one in objects for problem in missing(one.name, dict(one.inputs))] == []


@pytest.mark.parametrize("command", ["restore", "index"])
def test_a_job_of_teal_leaves_none_either(command: str) -> None:
    state = ColorState(release_id="r", image="i@sha256:" + "a" * 64, index="i", schema_min="1", schema_max="1", replica_floor=0)
    job = manifest("admin-1", "blue", state, JobSettings("teal-blue", "dev", "eu-central-1", ("A",), "1000m", 2048), (command,))
    assert list(missing("job", job)) == []


@pytest.mark.parametrize(("spec", "found"), [
    ({"valueFrom": {"fieldRef": {"fieldPath": "x"}}}, "x.valueFrom.fieldRef: no apiVersion"),
    ({"ports": [{"port": 1}]}, "x.ports: no protocol"),
    ({"limits": {"cpu": "2000m"}}, "x.limits: 2000m"),
    ({"requests": {"memory": "1024Mi"}}, "x.requests: 1024Mi"),
])  # fmt: skip
def test_the_walk_finds_what_is_missing(spec: dict[str, Any], found: str) -> None:
    assert list(missing("x", spec)) == [found]


@pytest.mark.parametrize(
    ("written", "kept"),
    [
        (quantities.cpu_quantity(2000), "2"),
        (quantities.cpu_quantity(1500), "1500m"),
        (quantities.memory_quantity(1536), "1536Mi"),
        (quantities.memory_quantity(2048), "2Gi"),
        (quantities.memory_quantity(1024 * 1024), "1Ti"),
    ],
)
def test_amounts_are_written_as_the_server_keeps_them(written: str, kept: str) -> None:
    assert written == kept
    assert canonical(written)
