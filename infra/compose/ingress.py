"""The public side: certificate, load balancer, firewall."""

from __future__ import annotations

from dataclasses import dataclass

import pulumi

from infra.compose.foundation import Foundation
from infra.config.read import Config
from infra.platform.ingress.certificate import Certificate, CertificateArgs
from infra.platform.ingress.firewall import Firewall, FirewallArgs
from infra.platform.ingress.load_balancer import LoadBalancer, LoadBalancerArgs
from infra.platform.ingress.load_balancer_access import AccessArgs


@dataclass(frozen=True)
class Ingress:
    """`certificate_arn` is the one in use, made here or given."""

    certificate_arn: pulumi.Input[str]
    balancer: LoadBalancer


def build(config: Config, base: Foundation) -> Ingress:
    """The public side of the stack, closed to all but `web.allowed_cidrs` when it is not public."""
    web = config.web
    certificate_arn: pulumi.Input[str] = (
        Certificate("certificate", CertificateArgs(web.domain, web.hosted_zone_id), base.opts).arn
        if web.hosted_zone_id is not None
        else str(web.certificate_arn)
    )
    balancer = LoadBalancer(
        "web",
        LoadBalancerArgs(
            prefix=config.prefix,
            access=AccessArgs(
                prefix=config.prefix,
                region=config.region,
                account_id=base.account_id,
                vpc_id=base.network.vpc_id,
                sources=None if web.public else web.allowed_cidrs,
                cluster_security_group_id=base.cluster.security_group_id,
                log_days=web.access_log_days,
            ),
            subnet_ids=base.network.public_subnet_ids,
            domain=web.domain,
            hosted_zone_id=web.hosted_zone_id,
            certificate_arn=certificate_arn,
            cluster_name=base.cluster.name,
            data_key_arn=base.keys.data_arn,
        ),
        base.opts,
    )
    Firewall(
        "firewall",
        FirewallArgs(
            prefix=config.prefix,
            load_balancer_arn=balancer.arn,
            rate_per_5_minutes=web.waf_rate_per_5_minutes,
            log_days=config.network.flow_log_days,
            logs_key_arn=base.keys.logs_arn,
        ),
        base.opts,
    )
    return Ingress(certificate_arn, balancer)
