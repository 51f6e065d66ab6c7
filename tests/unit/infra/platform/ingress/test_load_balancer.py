"""The load balancer, its certificate and its firewall: who gets in, where requests go, and what no `pulumi up` may undo."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.main import create_app
from app.settings import Settings
from contract.http import NOT_RELEASED
from infra.config.read import load_config
from infra.evaluation.evaluate import ROOT, Evaluation, RegisteredResource, evaluate_program
from infra.platform.ingress.firewall import FREE_TEXT_PATHS, firewall_rules, numbers_above_pattern
from infra.platform.ingress.load_balancer import DEREGISTRATION_SECONDS
from tests.unit.infra.config.test_config import edited
from tests.unit.infra.conftest import evaluate, of_type

RULE = "aws:lb/listenerRule:ListenerRule"


def _rule(result: Evaluation, name: str) -> RegisteredResource:
    (found,) = [each for each in of_type(result, RULE) if each.name == name]
    return found


def _https(result: Evaluation) -> RegisteredResource:
    (found,) = [each for each in of_type(result, "aws:lb/listener:Listener") if each.inputs["port"] == 443]
    return found


def test_shares_are_made_once_and_never_written_again(platform: Evaluation) -> None:
    rule = _rule(platform, "web-shares")
    assert rule.ignore_changes == ("actions",)  # the whole property: nested paths do not work
    assert rule.protect
    assert rule.inputs["priority"] == 50_000
    assert rule.inputs["conditions"] == [{"pathPattern": {"values": ["/*"]}}]
    # `teal` reads this page as all to blue, from the first minute (tests/parts/teal/test_alb.py).
    assert rule.inputs["actions"][0]["fixedResponse"]["messageBody"] == NOT_RELEASED


def test_under_every_rule_is_a_fixed_503_page(platform: Evaluation) -> None:
    (action,) = _https(platform).inputs["defaultActions"]
    assert action["type"] == "fixed-response"
    assert action["fixedResponse"]["statusCode"] == "503"
    assert len(action["fixedResponse"]["messageBody"]) <= 1024  # ALB's limit
    assert "teal release" in action["fixedResponse"]["messageBody"]


def test_a_secret_header_reaches_each_color_whatever_its_share(platform: Evaluation) -> None:
    secrets: set[str] = set()
    for color in ("blue", "green"):
        rule = _rule(platform, f"web-probe-{color}")
        header = rule.inputs["conditions"][0]["httpHeader"]
        assert header["httpHeaderName"] == platform.outputs["probe_header"] == "X-Teal-Probe"
        (value,) = header["values"]
        assert len(value) == 40
        assert not set(value) & set("*?")  # wildcards in a condition
        secrets.add(value)
        assert f"-{color}/" in rule.inputs["actions"][0]["targetGroupArn"]
        assert rule.inputs["priority"] < 50_000
        assert platform.outputs["probe_secret_arns"][color].startswith("arn:aws:secretsmanager:")
    assert len(secrets) == 2
    assert not any(value in json.dumps(platform.outputs) for value in secrets)


def test_a_probe_s_secret_leaves_no_name_behind_that_would_refuse_the_next_up(platform: Evaluation) -> None:
    secrets = [each for each in of_type(platform, "aws:secretsmanager/secret:Secret") if "/probe/" in each.inputs["name"]]
    assert [each.inputs["recoveryWindowInDays"] for each in secrets] == [0, 0]


def test_target_groups_are_permanent_and_belong_to_the_cluster(platform: Evaluation) -> None:
    for group in of_type(platform, "aws:lb/targetGroup:TargetGroup"):
        assert group.protect
        assert group.inputs["targetType"] == "ip"
        assert group.inputs["tags"]["eks:eks-cluster-name"] == platform.outputs["cluster"]["name"]
        assert group.inputs["deregistrationDelay"] == DEREGISTRATION_SECONDS


def test_plain_http_answers_with_the_way_to_https(platform: Evaluation) -> None:
    (plain,) = [each for each in of_type(platform, "aws:lb/listener:Listener") if each.inputs["port"] == 80]
    redirect = plain.inputs["defaultActions"][0]["redirect"]
    assert (redirect["protocol"], redirect["statusCode"]) == ("HTTPS", "HTTP_301")


def test_tls_is_1_2_with_forward_secrecy_or_1_3(platform: Evaluation) -> None:
    assert _https(platform).inputs["sslPolicy"] == "ELBSecurityPolicy-TLS13-1-2-Res-2021-06"


def test_the_cluster_is_opened_to_the_load_balancer_for_the_pods_port_alone(platform: Evaluation) -> None:
    (into,) = [
        each
        for each in of_type(platform, "aws:vpc/securityGroupIngressRule:SecurityGroupIngressRule")
        if each.inputs.get("referencedSecurityGroupId") and each.name == "web-pods"
    ]
    (out,) = of_type(platform, "aws:vpc/securityGroupEgressRule:SecurityGroupEgressRule")
    for rule in (into, out):
        assert (rule.inputs["fromPort"], rule.inputs["toPort"], rule.inputs["ipProtocol"]) == (8080, 8080, "tcp")
    assert into.inputs["securityGroupId"] == out.inputs["referencedSecurityGroupId"]
    assert into.inputs["referencedSecurityGroupId"] == out.inputs["securityGroupId"]


def test_dev_lets_in_its_list_and_nobody_else() -> None:
    result = evaluate("platform", "dev")
    sources = {
        each.inputs["cidrIpv4"]
        for each in of_type(result, "aws:vpc/securityGroupIngressRule:SecurityGroupIngressRule")
        if "cidrIpv4" in each.inputs
    }
    assert sources == {"192.0.2.0/24"}


def test_access_logs_go_to_a_bucket_that_only_elastic_load_balancing_writes_to(platform: Evaluation) -> None:
    (balancer,) = of_type(platform, "aws:lb/loadBalancer:LoadBalancer")
    assert balancer.inputs["accessLogs"]["enabled"]
    assert balancer.inputs["dropInvalidHeaderFields"]
    (policy,) = [each for each in of_type(platform, "aws:s3/bucketPolicy:BucketPolicy") if each.name == "web-logs"]
    assert policy.urn in balancer.depends_on  # a test file is written when logs are turned on
    allowed = [each for each in json.loads(policy.inputs["policy"])["Statement"] if each["Effect"] == "Allow"]
    assert [each["Principal"] for each in allowed] == [{"Service": "logdelivery.elasticloadbalancing.amazonaws.com"}]
    assert allowed[0]["Action"] == "s3:PutObject"


def test_a_certificate_is_validated_by_dns_before_a_listener_uses_it(platform: Evaluation) -> None:
    (certificate,) = of_type(platform, "aws:acm/certificate:Certificate")
    assert certificate.inputs["validationMethod"] == "DNS"
    (validation,) = of_type(platform, "aws:acm/certificateValidation:CertificateValidation")
    assert _https(platform).inputs["certificateArn"] == validation.inputs["certificateArn"]
    assert any(each.inputs["type"] == "CNAME" for each in of_type(platform, "aws:route53/record:Record"))


def test_a_given_certificate_is_used_and_no_dns_is_touched() -> None:
    given = "arn:aws:acm:eu-central-1:123456789012:certificate/0f0e0d0c-0000-4000-8000-000000000000"
    values = edited("dev", {"teal:web.hosted_zone_id": None, "teal:web.certificate_arn": given})
    load_config(values, "dev", "x")
    result = evaluate_program("teal", ROOT / "infra" / "__main__.py", "dev", values)
    assert _https(result).inputs["certificateArn"] == given
    assert not of_type(result, "aws:route53/record:Record")
    assert not of_type(result, "aws:acm/certificate:Certificate")


def test_the_firewall_stands_before_the_load_balancer_and_logs_without_keys(platform: Evaluation) -> None:
    (association,) = of_type(platform, "aws:wafv2/webAclAssociation:WebAclAssociation")
    assert ":loadbalancer/app/" in association.inputs["resourceArn"]
    (logging,) = of_type(platform, "aws:wafv2/webAclLoggingConfiguration:WebAclLoggingConfiguration")
    hidden = {field["singleHeader"]["name"] for field in logging.inputs["redactedFields"]}
    assert hidden == {"authorization", "cookie", platform.outputs["probe_header"].lower()}
    assert all(":log-group:aws-waf-logs-" in arn for arn in logging.inputs["logDestinationConfigs"])


def _holds(statement: Any, matches: Callable[[str, Any], bool]) -> bool:
    """What a rule's statement says, when `matches` says what a single match (its kind and body) does."""
    ((kind, body),) = statement.items()
    match kind:
        case "and_statement":
            return all(_holds(one, matches) for one in body["statements"])
        case "or_statement":
            return any(_holds(one, matches) for one in body["statements"])
        case "not_statement":
            return not _holds(body["statement"], matches)
        case _:
            return matches(kind, body)


def _verdict(path: str, labels: set[str]) -> str:
    """What the last rule says of a request that the managed groups gave these labels."""
    (rule,) = [each for each in firewall_rules(2_000) if each["name"] == "bodies"]

    def matches(kind: str, body: Any) -> bool:
        return body["key"] in labels if kind == "label_match_statement" else path.startswith(body["search_string"])

    return "block" if _holds(rule["statement"], matches) else "pass"


@pytest.mark.parametrize(
    ("path", "label", "verdict"),
    [
        ("/v1/documents/upload", "awswaf:managed:aws:core-rule-set:SizeRestrictions_Body", "pass"),
        ("/v1/documents", "awswaf:managed:aws:core-rule-set:CrossSiteScripting_Body", "pass"),
        ("/v1/ask", "awswaf:managed:aws:core-rule-set:SizeRestrictions_Body", "pass"),
        ("/v1/search", "awswaf:managed:aws:core-rule-set:CrossSiteScripting_Body", "pass"),
        ("/v1/session", "awswaf:managed:aws:core-rule-set:SizeRestrictions_Body", "block"),
        ("/v1/session", "awswaf:managed:aws:known-bad-inputs:Log4JRCE_Body", "block"),
        ("/v1/session", "awswaf:managed:aws:core-rule-set:NoUserAgent_Header", "pass"),  # its own group blocked it already
    ],
)
def test_a_suspect_body_is_refused_everywhere_but_where_people_write_freely(path: str, label: str, verdict: str) -> None:
    assert _verdict(path, {label}) == verdict


def test_every_route_that_takes_text_of_people_is_a_free_text_path() -> None:
    document = create_app(Settings(auth=False)).openapi()
    bodies = {path for path, methods in document["paths"].items() if any("requestBody" in each for each in methods.values())}
    assert set(FREE_TEXT_PATHS) <= bodies
    assert {path for path in bodies if not path.startswith(FREE_TEXT_PATHS)} == {"/v1/session"}  # it takes a key


def refused_by(path: str, body_bytes: int, declared: str | None, method: str = "POST") -> list[str]:
    """Which of the rules about sizes refuse a request."""

    def matches(kind: str, body: Any) -> bool:
        field = body["field_to_match"]
        if kind == "byte_match_statement":
            given = method if "method" in field else path
            exactly = body["positional_constraint"] == "EXACTLY"
            return bool(given == body["search_string"] if exactly else given.startswith(body["search_string"]))
        if kind == "regex_match_statement":
            assert field == {"single_header": {"name": "content-length"}}
            assert len(body["regex_string"]) <= 200  # WAF's limit of old; "AWS WAF quotas"
            return declared is not None and re.search(body["regex_string"], declared) is not None
        assert kind == "size_constraint_statement"
        assert "body" in field
        assert body["comparison_operator"] == "GT"
        return body_bytes > int(body["size"])

    return [each["name"] for each in firewall_rules(2_000)[5:] if _holds(each["statement"], matches)]


@pytest.mark.parametrize(
    ("path", "body_bytes", "blocked_by"),
    [
        ("/v1/session", 4_096, None),
        ("/v1/session", 4_097, "small-bodies"),
        ("/v1/new", 8_000_000, "small-bodies"),
        ("/v1/search", 262_144, None),
        ("/v1/search", 262_145, "question-bodies"),
        ("/v1/ask", 999_999, "question-bodies"),
        ("/v1/search", 1_000_000, "question-bodies"),
        ("/v1/search/more", 262_144, "small-bodies"),
        ("/v1/documents/upload", 20_000_000, None),
        ("/v1/documents", 20_064_000, None),
        ("/v1/documents", 20_064_001, "document-bodies"),
        ("/v1/documents/upload", 400_000_000, "document-bodies"),
    ],
)
def test_a_body_is_held_to_the_table_as_far_as_the_firewall_sees_it(path: str, body_bytes: int, blocked_by: str | None) -> None:
    assert refused_by(path, body_bytes, str(body_bytes)) == ([blocked_by] if blocked_by else [])
    assert refused_by(path, body_bytes, f"000{body_bytes}") == ([blocked_by] if blocked_by else [])


@pytest.mark.parametrize("path", ["/v1/search", "/v1/ask", "/v1/chat/completions", "/v1/documents", "/v1/documents/upload"])
def test_a_body_that_declares_no_length_is_refused_where_the_declared_length_is_the_limit(path: str) -> None:
    for declared in (None, "", "-1", "0x10", "1e9"):
        assert refused_by(path, 1_000_000, declared) == ["undeclared-bodies"]
    assert refused_by(path, 0, None, "GET") == []
    assert refused_by(path, 0, None, "DELETE") == []
    (rule,) = [each for each in firewall_rules(2_000) if each["name"] == "undeclared-bodies"]
    action: Any = rule["action"]
    assert action["block"]["custom_response"]["response_code"] == 411


@given(st.integers(1, 10**9), st.integers(0, 10**12))
def test_a_number_above_a_limit_is_told_from_one_that_is_not(limit: int, number: int) -> None:
    for one in (number, limit, limit + 1, limit - 1):
        assert (re.search(numbers_above_pattern(limit), str(one)) is not None) is (one > limit)


def test_a_flood_from_one_address_is_answered_429() -> None:
    rate = firewall_rules(1_234)[0]
    statement: Any = rate["statement"]
    assert statement["rate_based_statement"]["limit"] == 1_234
    action: Any = rate["action"]
    assert action["block"]["custom_response"]["response_code"] == 429
    assert [rule["priority"] for rule in firewall_rules(10)] == list(range(9))


def test_an_address_without_a_release_shows_the_page_and_every_group_still_belongs_to_the_load_balancer(
    platform: Evaluation,
) -> None:
    """A rule that forwards to a group without targets is answered by the load balancer itself: the page below it is never seen."""
    (action,) = _rule(platform, "web-shares").inputs["actions"]
    assert action["type"] == "fixed-response"
    assert "Nothing is released here yet" in action["fixedResponse"]["messageBody"]
    for color in ("blue", "green"):
        assert _rule(platform, f"web-probe-{color}").inputs["actions"][0]["type"] == "forward"
