"""The texts of AWS' own policies that the search for ways reads are those of moto's copy of all of them."""

from __future__ import annotations

import json
import sys
from typing import Any

from moto.iam.aws_managed_policies import aws_managed_policies_data

from infra.delivery.reach_table import TEXTS
from infra.evaluation.evaluate import platform, stacks

_PREFIX = "arn:aws:iam::aws:policy/"


def wanted() -> dict[str, Any]:
    """The newest text of each policy that a role of some stack has."""
    known = json.loads(aws_managed_policies_data)
    arns = {
        str(one.inputs["policyArn"])
        for stack in stacks()
        for one in platform(stack).resources
        if one.type == "aws:iam/rolePolicyAttachment:RolePolicyAttachment"
    }
    names = sorted(arn.rpartition("/")[2] for arn in arns if arn.startswith(_PREFIX))
    return {
        name: {
            "Version": known[name]["DefaultVersionId"],
            "Updated": known[name]["UpdateDate"],
            "Statement": [
                {key: value for key, value in one.items() if key != "Sid"} for one in known[name]["Document"]["Statement"]
            ],
        }
        for name in names
    }


def test_the_policies_of_aws_that_are_searched_are_the_newest_that_are_known_here() -> None:
    """A newer moto may bring a newer text: read what it grants, then `python -m tests.parts.infra.test_managed_policies`."""
    assert json.loads(TEXTS.read_text(encoding="utf-8")) == wanted()


if __name__ == "__main__":
    TEXTS.write_text(json.dumps(wanted(), indent=1) + "\n", encoding="utf-8")
    sys.exit()
