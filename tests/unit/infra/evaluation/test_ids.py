"""A stand-in's id has the provider's form: as in the examples of pulumi-aws's import documentation, read from the installed package."""

from __future__ import annotations

import keyword
import re
from functools import cache
from pathlib import Path

import pulumi_aws
import pytest

from infra.evaluation import mocks
from infra.evaluation.evaluate import Evaluation

UUID = r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}"
# Ids that are not what one imports by, with the form that the provider gives them, from its schema ("id" of each type).
OTHER_THAN_IMPORT = {
    "aws:backup/selection:Selection": UUID,
    "aws:backup/plan:Plan": UUID,  # the example says abc123
    "aws:ec2/route:Route": r"r-rtb-[0-9a-f]+\d+",
    "aws:ec2/routeTableAssociation:RouteTableAssociation": r"rtbassoc-[0-9a-f]+",
    "aws:eks/podIdentityAssociation:PodIdentityAssociation": r"a-[0-9a-z]+",
    "aws:rds/instance:Instance": r"db-[0-9A-Z]{26}",
    "aws:wafv2/webAcl:WebAcl": UUID,
    "aws:wafv2/webAclAssociation:WebAclAssociation": r"arn:aws:wafv2:.*,arn:aws:elasticloadbalancing:.*",  # the example is shortened
    "aws:route53/record:Record": r"Z[0-9A-Z]+_[a-z0-9_.-]+_[A-Z]+",
}


@cache
def example(kind: str) -> str | None:
    """The id in the type's import documentation; None when it has none."""
    module, name = kind.split(":")[1].split("/")
    module += "_" * keyword.iskeyword(module)  # as the provider's package names the module of Lambda
    file = Path(pulumi_aws.__file__).parent / module / (re.sub(r"(?<!^)(?=[A-Z])", "_", name).lower() + ".py")
    found = re.search(r"pulumi import \S+ \S+ '?([^'\n]+)'?", file.read_text(encoding="utf-8"))
    return found[1].strip() if found else None


def shape(identifier: str) -> str:
    """What stays when names, numbers and hex are taken away: prefixes of EC2, the parts of an ARN, separators."""
    text = re.sub(r"xxxxx-xxxxxxx-xxxxxxx-xxxxx", "<uuid>", identifier)
    text = re.sub(UUID, "<uuid>", text)
    if text.startswith("arn:"):
        service, rest = text.split(":")[2], text.split(":", 5)[5]
        kind = str(rest.count(":")) if service == "sns" else re.split(r"[/:]", rest)[0]  # a topic's ARN ends with its name alone
        parts = text.count("/") if service == "elasticloadbalancing" else 0  # names of others may hold slashes
        return f"arn:{service}:{kind}:{parts}:{text.count('|')}"
    prefix = re.match(r"(vpc|vpce|subnet|sg|sgr|igw|nat|rtb|fl|eipalloc|ws|s)-", text)
    return (prefix[0] if prefix else "") + "".join(re.findall(r"[:#|,]", text))


def test_every_id_has_the_form_of_the_provider_s_documentation(platform: Evaluation) -> None:
    wrong: dict[str, tuple[str, str | None]] = {}
    for one in platform.resources:
        if one.type.startswith("aws:"):
            found, _ = mocks.resource_answer(one.type, one.name, one.inputs, "eu-central-1")
            wanted = example(one.type)
            if pattern := OTHER_THAN_IMPORT.get(one.type):
                good = bool(re.fullmatch(pattern, found))
            else:
                good = wanted is None or shape(found) == shape(wanted)
            if not good:
                wrong[one.type] = (found, wanted)
    assert wrong == {}


@pytest.mark.parametrize(
    ("kind", "found"),
    [
        ("aws:wafv2/webAcl:WebAcl", "arn:aws:wafv2:eu-central-1:123456789012:regional/webacl/teal/1"),  # what it was once
        ("aws:rds/instance:Instance", "teal-dev-db"),
    ],
)
def test_a_name_or_an_arn_in_the_place_of_an_id_is_seen(kind: str, found: str) -> None:
    assert not re.fullmatch(OTHER_THAN_IMPORT[kind], found)
