"""Entry of `pulumi preview --policy-pack infra/policy`: every rule of `infra.policy.rules`, mandatory."""

from __future__ import annotations

from pulumi_policy import EnforcementLevel, PolicyPack, ReportViolation, ResourceValidationArgs, ResourceValidationPolicy

from infra.policy.rules import RULES, Resource, Rule


def policy(rule: Rule) -> ResourceValidationPolicy:
    """One rule as the engine wants it."""

    def validate(args: ResourceValidationArgs, report: ReportViolation) -> None:
        for violation in rule.check(Resource(args.resource_type, args.name, dict(args.props), bool(args.opts.protect))):
            report(violation, None)

    return ResourceValidationPolicy(
        name=rule.name, description=rule.promise, enforcement_level=EnforcementLevel.MANDATORY, validate=validate
    )


PolicyPack(name="teal", enforcement_level=EnforcementLevel.MANDATORY, policies=[policy(rule) for rule in RULES])
