"""The web application firewall before the load balancer."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pulumi
from pulumi_aws import cloudwatch, wafv2

from contract.bodies import DOCUMENT_BYTES, DOCUMENTS_PATH, QUESTION_BYTES, QUESTION_PATHS, SMALL_BYTES, document_body_bytes
from contract.http import PROBE_HEADER

Rule = wafv2.WebAclRuleArgsDict
Statement = wafv2.WebAclRuleStatementArgsDict
# Bodies of these paths are documents, questions and searches, whose text may be about anything,
# even about attacks on web applications.
FREE_TEXT_PATHS = (DOCUMENTS_PATH, *QUESTION_PATHS)
# Rules of the managed groups that inspect bodies, with the labels that they add in count mode.
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
    """`rate_per_5_minutes`: the most requests from one address.
    `log_days`: retention of the log of blocked and counted requests."""

    prefix: str
    load_balancer_arn: pulumi.Input[str]
    rate_per_5_minutes: int
    log_days: int
    logs_key_arn: pulumi.Input[str]


class Firewall(pulumi.ComponentResource):
    """The firewall. It blocks floods, known bad addresses and attacks, but never a document,
    question or search because of its text.

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
            rules=firewall_rules(args.rate_per_5_minutes),
            visibility_config=_visible(args.prefix),
            opts=child,
        )
        wafv2.WebAclAssociation(name, resource_arn=args.load_balancer_arn, web_acl_arn=acl.arn, opts=child)
        logs = cloudwatch.LogGroup(
            name,
            name=f"aws-waf-logs-{args.prefix}",  # WAF requires this prefix
            retention_in_days=args.log_days,
            kms_key_id=args.logs_key_arn,
            opts=child,
        )
        wafv2.WebAclLoggingConfiguration(
            name,
            resource_arn=acl.arn,
            log_destination_configs=[logs.arn],
            # Keys and sessions must not be logged.
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


def firewall_rules(rate_per_5_minutes: int) -> list[Rule]:
    """The rules in order: rate, reputation, the two managed groups with their body rules in count mode, a rule that blocks what
    these counted outside FREE_TEXT_PATHS, and the limits of body sizes.

    So a body that matches a managed rule is refused on all other paths.
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
    """The limits in contract/bodies.py, as far as the firewall can check them: before a load balancer it reads only the first 8
    KB of a body and may count a longer one as a match ("Oversize web request components" in the AWS WAF developer guide).
    Questions and documents may be longer than that, so for them the declared length is checked,
    and a request without one is refused with 411 (RFC 9110, 15.5.12).
    """
    questions: Statement = {"or_statement": {"statements": [_path(path, "EXACTLY") for path in QUESTION_PATHS]}}
    documents = _path(DOCUMENTS_PATH, "STARTS_WITH")
    larger: Statement = {"or_statement": {"statements": [documents, *(_path(path, "EXACTLY") for path in QUESTION_PATHS)]}}
    elsewhere: Statement = {"not_statement": {"statement": larger}}
    undeclared: Statement = {"not_statement": {"statement": _declares(r"^[0-9]{1,18}$")}}
    writes: Statement = {"or_statement": {"statements": [_method(one) for one in ("POST", "PUT", "PATCH")]}}
    found: list[tuple[str, int, list[Statement]]] = [
        ("small-bodies", 413, [elsewhere, _longer({"body": {"oversize_handling": "MATCH"}}, SMALL_BYTES)]),
        ("question-bodies", 413, [questions, _declares(numbers_above_pattern(QUESTION_BYTES))]),
        ("document-bodies", 413, [documents, _declares(numbers_above_pattern(document_body_bytes(DOCUMENT_BYTES)))]),
        ("undeclared-bodies", 411, [larger, writes, undeclared]),
    ]
    return [
        {
            "name": name,
            "priority": first + number,
            "action": {"block": {"custom_response": {"response_code": code}}},
            "statement": {"and_statement": {"statements": statements}},
            "visibility_config": _visible(name),
        }
        for number, (name, code, statements) in enumerate(found)
    ]


def numbers_above_pattern(limit: int) -> str:
    """A regular expression for the decimal numbers above `limit`, because WAF can compare lengths and texts but not numbers."""
    digits = str(limit)
    larger = [
        digits[:place] + (f"[{int(digit) + 1}-9]" if digit != "8" else "9") + (f"[0-9]{{{rest}}}" if rest else "")
        for place, digit in enumerate(digits)
        if digit != "9"
        for rest in (len(digits) - place - 1,)
    ]
    return f"^0*({'|'.join(larger)}|[1-9][0-9]{{{len(digits)},}})$"


def _declares(pattern: str) -> Statement:
    """A statement that matches when the declared length of the body matches `pattern`;
    never for a request without a declared length."""
    return {
        "regex_match_statement": {
            "field_to_match": {"single_header": {"name": "content-length"}},
            "regex_string": pattern,
            "text_transformations": [{"priority": 0, "type": "NONE"}],
        }
    }


def _method(method: str) -> Statement:
    return {
        "byte_match_statement": {
            "field_to_match": {"method": {}},
            "positional_constraint": "EXACTLY",
            "search_string": method,
            "text_transformations": [{"priority": 0, "type": "NONE"}],
        }
    }


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
    """A statement that matches when a part of the request is longer than `size` bytes."""
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
