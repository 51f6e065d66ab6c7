"""The listener's certificate, made here and validated by a record in Route 53."""

from __future__ import annotations

from dataclasses import dataclass

import pulumi
from pulumi_aws import acm, route53


@dataclass(frozen=True)
class CertificateArgs:
    """`hosted_zone_id`: the public zone that holds `domain`."""

    domain: str
    hosted_zone_id: str


class Certificate(pulumi.ComponentResource):
    """A certificate that renews itself as long as its DNS record stays. Cost: none.

    `pulumi up` waits for validation, a few minutes; it fails after an hour when the zone is not the one the internet asks.
    """

    arn: pulumi.Output[str]

    def __init__(self, name: str, args: CertificateArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("teal:infra:Certificate", name, None, opts)
        child = pulumi.ResourceOptions(parent=self)
        certificate = acm.Certificate(
            name,
            domain_name=args.domain,
            validation_method="DNS",
            key_algorithm="EC_prime256v1",
            opts=child,
        )
        asked = certificate.domain_validation_options[0]
        record = route53.Record(
            name,
            zone_id=args.hosted_zone_id,
            name=asked.apply(lambda option: option.resource_record_name or ""),
            type=asked.apply(lambda option: option.resource_record_type or "CNAME"),
            records=[asked.apply(lambda option: option.resource_record_value or "")],
            ttl=300,  # seconds
            allow_overwrite=True,  # all certificates of this name in this account share the record
            opts=child,
        )
        validation = acm.CertificateValidation(
            name, certificate_arn=certificate.arn, validation_record_fqdns=[record.fqdn], opts=child
        )
        self.arn = validation.certificate_arn
        self.register_outputs({"arn": self.arn})
