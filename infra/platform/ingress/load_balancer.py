"""The only thing that the internet reaches: one Application Load Balancer, two permanent target groups, four rules.

The shares of the requests are in the catch-all rule. Only `teal` changes them; Pulumi ignores them after the rule's creation.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import pulumi
import pulumi_random as random
from pulumi_aws import lb, route53, secretsmanager

from contract.color import COLORS
from contract.http import DEREGISTRATION_SECONDS, IDLE_SECONDS, NOT_RELEASED, POD_PORT, PROBE_HEADER, READY_PATH
from infra.platform.ingress.load_balancer_access import AccessArgs, access_logs, security_group

HEALTH_INTERVAL_SECONDS = 10  # ALB takes 5 to 300
HEALTH_TIMEOUT_SECONDS = 5  # ALB takes 2 to 120, below the interval
HEALTHY_AFTER, UNHEALTHY_AFTER = 2, 3  # checks in a row; ALB takes 2 to 10
TLS_POLICY = "ELBSecurityPolicy-TLS13-1-2-Res-2021-06"  # TLS 1.2 with forward secrecy and authenticated ciphers, and 1.3
CATCH_ALL_PRIORITY = 50_000  # ALB's last priority: every other rule comes first
PROBE_SECRET_CHARACTERS = 40  # an ALB header condition takes 128


@dataclass(frozen=True)
class LoadBalancerArgs:
    """`hosted_zone_id` None: the operator creates the DNS record of `domain`."""

    prefix: str
    access: AccessArgs
    subnet_ids: Sequence[pulumi.Input[str]]
    domain: str
    hosted_zone_id: str | None
    certificate_arn: pulumi.Input[str]
    cluster_name: pulumi.Input[str]
    data_key_arn: pulumi.Input[str]


class LoadBalancer(pulumi.ComponentResource):
    """The load balancer: HTTPS at one name, a fixed 503 page as default action, and shares that every `pulumi up` keeps.

    Cost: by hour and capacity unit, a secret for each color, stored access logs.
    """

    arn: pulumi.Output[str]
    arn_suffix: pulumi.Output[str]
    dns_name: pulumi.Output[str]
    url: str
    rule_arn: pulumi.Output[str]
    target_group_arns: dict[str, pulumi.Output[str]]
    target_group_suffixes: dict[str, pulumi.Output[str]]
    probe_header: str
    probe_secret_arns: dict[str, pulumi.Output[str]]

    def __init__(self, name: str, args: LoadBalancerArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("teal:infra:LoadBalancer", name, None, opts)
        self._args, self._child = args, pulumi.ResourceOptions(parent=self)
        reached_by = security_group(name, args.access, self)
        logs = access_logs(name, args.access, self)
        balancer = lb.LoadBalancer(
            name,
            name=args.prefix,
            load_balancer_type="application",
            internal=False,
            subnets=list(args.subnet_ids),
            security_groups=[reached_by],
            idle_timeout=IDLE_SECONDS,
            drop_invalid_header_fields=True,
            enable_deletion_protection=True,  # `teal destroy` takes it off
            access_logs={"bucket": logs.name, "enabled": True},
            # ELB writes a test file when the logs are turned on.
            opts=pulumi.ResourceOptions(parent=self, depends_on=[logs.policy]),
        )
        groups = {color: self._target_group(name, color) for color in COLORS}
        listener = self._listeners(name, balancer)
        self.probe_header, self.probe_secret_arns = PROBE_HEADER, {}
        for number, color in enumerate(COLORS, 1):
            self._probe_rule(f"{name}-probe-{color}", color, number, listener, groups[color])
        rule = lb.ListenerRule(
            f"{name}-shares",
            listener_arn=listener.arn,
            priority=CATCH_ALL_PRIORITY,
            conditions=[{"path_pattern": {"values": ["/*"]}}],
            # The action until the first release. A group without targets would answer with the load balancer's own error page.
            actions=[not_released()],
            tags={"Name": f"{args.prefix}-shares"},
            # Ignores the whole property, because paths inside it do not work (pulumi-aws issues 5772 and 5798).
            opts=pulumi.ResourceOptions(parent=self, protect=True, ignore_changes=["actions"]),
        )
        if args.hosted_zone_id is not None:
            route53.Record(
                name,
                zone_id=args.hosted_zone_id,
                name=args.domain,
                type="A",
                aliases=[{"name": balancer.dns_name, "zone_id": balancer.zone_id, "evaluate_target_health": False}],
                opts=self._child,
            )
        self.arn, self.arn_suffix = balancer.arn, balancer.arn_suffix
        self.dns_name, self.url = balancer.dns_name, f"https://{args.domain}"
        self.rule_arn = rule.arn
        self.target_group_arns = {color: group.arn for color, group in groups.items()}
        self.target_group_suffixes = {color: group.arn_suffix for color, group in groups.items()}
        self.register_outputs({"dns_name": self.dns_name, "url": self.url})

    def _target_group(self, name: str, color: str) -> lb.TargetGroup:
        args = self._args
        return lb.TargetGroup(
            f"{name}-{color}",
            name=f"{args.prefix}-{color}",
            vpc_id=args.access.vpc_id,
            port=POD_PORT,
            protocol="HTTP",
            target_type="ip",
            deregistration_delay=DEREGISTRATION_SECONDS,
            # Answers take from milliseconds to a minute, so round robin could pile them up on one pod.
            load_balancing_algorithm_type="least_outstanding_requests",
            health_check={
                "path": READY_PATH,
                "protocol": "HTTP",
                "matcher": "200",
                "interval": HEALTH_INTERVAL_SECONDS,
                "timeout": HEALTH_TIMEOUT_SECONDS,
                "healthy_threshold": HEALTHY_AFTER,
                "unhealthy_threshold": UNHEALTHY_AFTER,
            },
            # Auto Mode may register pods only in groups with its cluster's name as a tag.
            tags={"Name": f"{args.prefix}-{color}", "eks:eks-cluster-name": args.cluster_name},
            opts=pulumi.ResourceOptions(parent=self, protect=True),
        )

    def _listeners(self, name: str, balancer: lb.LoadBalancer) -> lb.Listener:
        lb.Listener(
            f"{name}-redirect",
            load_balancer_arn=balancer.arn,
            port=80,
            protocol="HTTP",
            default_actions=[{"type": "redirect", "redirect": {"protocol": "HTTPS", "port": "443", "status_code": "HTTP_301"}}],
            opts=self._child,
        )
        return lb.Listener(
            name,
            load_balancer_arn=balancer.arn,
            port=443,
            protocol="HTTPS",
            ssl_policy=TLS_POLICY,
            certificate_arn=self._args.certificate_arn,
            default_actions=[not_released()],
            opts=self._child,
        )

    def _probe_rule(self, name: str, color: str, priority: int, listener: lb.Listener, group: lb.TargetGroup) -> None:
        word = random.RandomPassword(name, length=PROBE_SECRET_CHARACTERS, special=False, opts=self._child)
        secret = secretsmanager.Secret(
            name,
            name=f"{self._args.prefix}/probe/{color}",
            description=f"Value of {PROBE_HEADER} that reaches {color} whatever its share",
            kms_key_id=self._args.data_key_arn,
            recovery_window_in_days=0,  # the value can be made again; a name with a pending deletion would fail the next `up`
            opts=pulumi.ResourceOptions(parent=self, protect=True),
        )
        secretsmanager.SecretVersion(name, secret_id=secret.id, secret_string=word.result, opts=self._child)
        lb.ListenerRule(
            name,
            listener_arn=listener.arn,
            priority=priority,
            conditions=[{"http_header": {"http_header_name": PROBE_HEADER, "values": [word.result]}}],
            actions=[{"type": "forward", "target_group_arn": group.arn}],
            tags={"Name": f"{self._args.prefix}-probe-{color}"},
            # The provider returns the conditions unencrypted; without this option the secret would be in clear in the state.
            opts=pulumi.ResourceOptions(parent=self, protect=True, additional_secret_outputs=["conditions"]),
        )
        self.probe_secret_arns[color] = secret.arn


def not_released() -> lb.ListenerRuleActionArgsDict:
    """The action that returns the page shown before the first release."""
    return {
        "type": "fixed-response",
        "fixed_response": {"content_type": "text/html", "message_body": NOT_RELEASED, "status_code": "503"},
    }
