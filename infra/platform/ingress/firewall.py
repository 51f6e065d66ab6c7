"""The web application firewall before the load balancer."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pulumi
from pulumi_aws import cloudwatch, wafv2

from contract.bodies import DOCUMENTS_PATH, QUESTION_BYTES, QUESTION_PATHS, SMALL_BYTES
from contract.http import PROBE_HEADER

Rule = wafv2.WebAclRuleArgsDict
Statement = wafv2.WebAclRuleStatementArgsDict
# Bodies of these paths are documents, questions and searches: about anything, attacks on web applications included.
FREE_TEXT_PATHS = (DOCUMENTS_PATH, *QUESTION_PATHS)
# Rules of the managed groups that read bodies, with the labels that they leave when they only count.
# Source: "Baseline rule groups" in the AWS WAF developer guide.
BODY_RULES = {
    "AWSManagedRulesCommonRuleSet": {
        "SizeRestrictions_BODY": "awswaf:managed:aws:core-rule-set:SizeRestrictions_Body",
        "CrossSiteScripting_BODY": "awswaf:managed:aws:core-rule-set:CrossSiteScripting_Body",
        "EC2MetaDataSSRF_BODY": "awswaf:managed:aws:core-rule-set:EC2MetaDataSSRF_Body",
        "GenericLFI_BODY": "awswaf:managed:aws:core-rule-set:GenericLFI_Body",
        "GenericRFI_BODY": "awswaf:managed:aws:core-rule-set:GenericRFI_Body",
    },
    "AWSManagedRulesKnownBadInputsRuleSet": {
        "JavaDeserializationRCE_BODY": "awswaf:managed:aws:known-bad-inputs:JavaDeserializationRCE_Body",
        "Log4JRCE_BODY": "awswaf:managed:aws:known-bad-inputs:Log4JRCE_Body",
        "ReactJSRCE_BODY": "awswaf:managed:aws:known-bad-inputs:ReactJSRCE_Body",
    },
}
RATE_WINDOW_SECONDS = 300


@dataclass(frozen=True)
class FirewallArgs:
    """At most `rate_per_5_minutes` requests of one address; blocked and counted requests are kept `log_days` days."""

    prefix: str
    load_balancer_arn: pulumi.Input[str]
    rate_per_5_minutes: int
    log_days: int
    logs_key_arn: pulumi.Input[str]


class Firewall(pulumi.ComponentResource):
    """Blocks floods, known bad addresses and attacks; lets documents, questions and searches through whatever they say.

    Cost: 5 USD a month, 1 USD a rule and month, 0.60 USD a million requests (unverified here; infra/cost/prices.py has the sources).
    """

    arn: pulumi.Output[str]

    def __init__(self, name: str, args: FirewallArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("teal:infra:Firewall", name, None, opts)
        child = pulumi.ResourceOptions(parent=self)
        acl = wafv2.WebAcl(
            name,
            name=args.prefix,
            scope="REGIONAL",
            default_action={"allow": {}},
            rules=rules(args.rate_per_5_minutes),
            visibility_config=_visible(args.prefix),
            opts=child,
        )
        wafv2.WebAclAssociation(name, resource_arn=args.load_balancer_arn, web_acl_arn=acl.arn, opts=child)
        logs = cloudwatch.LogGroup(
            name,
            name=f"aws-waf-logs-{args.prefix}",  # WAF refuses a name that does not start so
            retention_in_days=args.log_days,
            kms_key_id=args.logs_key_arn,
            opts=child,
        )
        wafv2.WebAclLoggingConfiguration(
            name,
            resource_arn=acl.arn,
            log_destination_configs=[logs.arn],
            # Keys and sessions do not belong in logs.
            redacted_fields=[{"single_header": {"name": header}} for header in ("authorization", "cookie", PROBE_HEADER.lower())],
            logging_filter={
                "default_behavior": "DROP",  # allowed requests are in the load balancer's own logs
                "filters": [
                    {
                        "behavior": "KEEP",
                        "requirement": "MEETS_ANY",
                        "conditions": [{"action_condition": {"action": action}} for action in ("BLOCK", "COUNT")],
                    }
                ],
            },
            opts=child,
        )
        self.arn = acl.arn
        self.register_outputs({"arn": self.arn})


def rules(rate_per_5_minutes: int) -> list[Rule]:
    """The rules in their order: rate, reputation, the two managed groups with bodies counted, one that blocks what was counted, and the sizes of bodies.

    A body that a managed rule dislikes is refused everywhere but on FREE_TEXT_PATHS.
    """
    rate: Rule = {
        "name": "rate",
        "priority": 0,
        "action": {"block": {"custom_response": {"response_code": 429}}},
        "statement": {
            "rate_based_statement": {
                "limit": rate_per_5_minutes,
                "aggregate_key_type": "IP",
                "evaluation_window_sec": RATE_WINDOW_SECONDS,
            }
        },
        "visibility_config": _visible("rate"),
    }
    groups = ("AWSManagedRulesAmazonIpReputationList", "AWSManagedRulesKnownBadInputsRuleSet", "AWSManagedRulesCommonRuleSet")
    managed = [_managed(group, number) for number, group in enumerate(groups, 1)]
    labels: list[Statement] = [
        {"label_match_statement": {"scope": "LABEL", "key": label}} for group in BODY_RULES.values() for label in group.values()
    ]
    free = [_path(path, "STARTS_WITH") for path in FREE_TEXT_PATHS]
    suspect: Statement = {"or_statement": {"statements": labels}}
    free_text: Statement = {"or_statement": {"statements": free}}
    elsewhere: Statement = {"not_statement": {"statement": free_text}}
    bodies: Rule = {
        "name": "bodies",
        "priority": len(groups) + 1,
        "action": {"block": {}},
        "statement": {"and_statement": {"statements": [suspect, elsewhere]}},
        "visibility_config": _visible("bodies"),
    }
    return [rate, *managed, bodies, *_sizes(len(groups) + 2)]


def _sizes(first: int) -> list[Rule]:
    """Two rules of the table in contract/bodies.py, as far as the firewall sees a body: before a load balancer it reads the first 8 KB and
    may call a longer one a match ("Oversize web request components" in the AWS WAF developer guide). A question's body may be longer than
    that, so there it is the declared length that counts: no more digits than the limit has. The service holds what is undeclared to it.
    """
    larger = [_path(path, "STARTS_WITH" if path == DOCUMENTS_PATH else "EXACTLY") for path in FREE_TEXT_PATHS]
    questions = [_path(path, "EXACTLY") for path in QUESTION_PATHS]
    small: Statement = {
        "and_statement": {
            "statements": [
                {"not_statement": {"statement": {"or_statement": {"statements": larger}}}},
                _longer({"body": {"oversize_handling": "MATCH"}}, SMALL_BYTES),
            ]
        }
    }
    question: Statement = {
        "and_statement": {
            "statements": [
                {"or_statement": {"statements": questions}},
                _longer({"single_header": {"name": "content-length"}}, len(str(QUESTION_BYTES))),
            ]
        }
    }
    return [
        {
            "name": name,
            "priority": first + number,
            "action": {"block": {"custom_response": {"response_code": 413}}},
            "statement": statement,
            "visibility_config": _visible(name),
        }
        for number, (name, statement) in enumerate((("small-bodies", small), ("question-bodies", question)))
    ]


def _path(path: str, how: str) -> Statement:
    return {
        "byte_match_statement": {
            "field_to_match": {"uri_path": {}},
            "positional_constraint": how,
            "search_string": path,
            "text_transformations": [{"priority": 0, "type": "NONE"}],
        }
    }


def _longer(field: Any, size: int) -> Statement:
    """That a part of the request is longer than `size` bytes; of a header, its text."""
    return {
        "size_constraint_statement": {
            "field_to_match": field,
            "comparison_operator": "GT",
            "size": size,
            "text_transformations": [{"priority": 0, "type": "NONE"}],
        }
    }


def _managed(group: str, priority: int) -> Rule:
    counted = BODY_RULES.get(group, {})
    return {
        "name": group,
        "priority": priority,
        "override_action": {"none": {}},
        "statement": {
            "managed_rule_group_statement": {
                "vendor_name": "AWS",
                "name": group,
                "rule_action_overrides": [{"name": rule, "action_to_use": {"count": {}}} for rule in counted],
            }
        },
        "visibility_config": _visible(group),
    }


def _visible(name: str) -> wafv2.WebAclVisibilityConfigArgsDict:
    return {"cloudwatch_metrics_enabled": True, "metric_name": name, "sampled_requests_enabled": True}
