"""The rules of `infra.policy.rules` in the form that Pulumi's engine asks for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, cast

from pulumi_policy import EnforcementLevel, ReportViolation, ResourceValidationArgs, ResourceValidationPolicy
from pulumi_policy.proxy import UnknownValueError

from infra.policy.resource import UNKNOWN, Resource
from infra.policy.rules import RULES, Rule


def pack_policies() -> list[ResourceValidationPolicy]:
    """Every rule as a mandatory policy."""
    return [_policy(rule) for rule in RULES]


def _policy(rule: Rule) -> ResourceValidationPolicy:
    def validate(args: ResourceValidationArgs, report: ReportViolation) -> None:
        inputs = cast(dict[str, Any], plain_value(args.props))
        stack = args.urn.split("::")[0].rsplit(":", 1)[-1]  # urn:pulumi:STACK::PROJECT::...
        for violation in rule.check(Resource(args.resource_type, args.name, inputs, bool(args.opts.protect), stack)):
            report(violation, None)

    return ResourceValidationPolicy(
        name=rule.name, description=rule.promise, enforcement_level=EnforcementLevel.MANDATORY, validate=validate
    )


def plain_value(value: object) -> object:
    """The value as plain data. In the engine's wrapping a list is no `list`,
    and reading an unknown value would abort the whole rule."""
    if isinstance(value, Mapping):
        inside = cast(Mapping[str, object], value)
        return {key: _known(inside, key) for key in inside}
    if isinstance(value, Sequence) and not isinstance(value, str | bytes):
        elements = cast(Sequence[object], value)
        return [_known(elements, index) for index in range(len(elements))]
    return value


def _known(holder: Any, key: str | int) -> object:
    try:
        return plain_value(holder[key])
    except UnknownValueError:
        return UNKNOWN
