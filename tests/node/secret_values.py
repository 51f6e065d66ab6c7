"""The platform's secrets in moto's Secrets Manager, with what the stores here are called; and its objects and policies with the ARNs that moto gives."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from contract.names import NAMESPACES, OPERATOR_NAMESPACE
from contract.pods import OPERATOR, service
from tests.cluster.objects import objects
from tests.node.color import STACK
from tests.node.pod_identity import Who
from tests.node.stores import PASSWORD, USER, Stores
from tests.services.aws_server import AwsServer
from tests.unit.infra.conftest import evaluate, of_type

_ARN: Final = re.compile(r"arn:aws:secretsmanager:[\w-]+:\d+:secret:[^\"\\]+")
_OURS: Final = {
    **{namespace: service(namespace).provider_class for namespace in NAMESPACES.values()},
    OPERATOR_NAMESPACE: OPERATOR.provider_class,
}


@dataclass(frozen=True)
class Secrets:
    """`arns`: moto's, by the platform's."""

    aws: AwsServer
    arns: Mapping[str, str]

    def addressed(self, document: Any) -> Any:
        """The same data with moto's ARNs."""
        text = json.dumps(document)
        for ours, given in self.arns.items():
            text = text.replace(ours, given)
        return json.loads(text)

    def text(self, arn: str) -> str:
        found: str = self.aws.client("secretsmanager").get_secret_value(SecretId=arn)["SecretString"]
        return found

    def put(self, arn: str, text: str) -> None:
        """A new version, which is the current one."""
        self.aws.client("secretsmanager").put_secret_value(SecretId=arn, SecretString=text)

    def policies(self) -> dict[Who, list[Mapping[str, Any]]]:
        """What the role of each associated service account may do."""
        made = evaluate("platform", STACK)
        by_role = {
            one.inputs["role"]: json.loads(one.inputs["policy"])["Statement"]
            for one in of_type(made, "aws:iam/rolePolicy:RolePolicy")
        }
        given = [one.inputs for one in of_type(made, "aws:eks/podIdentityAssociation:PodIdentityAssociation")]
        found: dict[Who, list[Mapping[str, Any]]] = {
            Who(one["namespace"], one["serviceAccount"]): self.addressed(by_role[one["roleArn"].rpartition("/")[2]])
            for one in given
        }
        return found


def fill(aws: AwsServer, stores: Stores) -> Secrets:
    """Each secret that a class of the service or of its operator names, with the keys that the platform gives it. RDS makes its own."""
    client, made = aws.client("secretsmanager"), evaluate("platform", STACK)
    written = {
        one.inputs["secretId"]: one.inputs["secretString"]
        for one in of_type(made, "aws:secretsmanager/secretVersion:SecretVersion")
    }
    here = {"username": USER, "password": PASSWORD, "url": stores.redis, "ca_certificate": "of these tests"}
    arns: dict[str, str] = {}
    for arn in sorted({found for one in _classes() for found in _ARN.findall(json.dumps(one))}):
        name = arn.rpartition(":")[2].rpartition("-")[0]
        text = written.get(arn, json.dumps({"username": "", "password": ""}))
        text = _with(json.loads(text), here) if text.startswith("{") else f"probe-{name.rpartition('/')[2]}"
        arns[arn] = client.create_secret(Name=name, SecretString=text)["ARN"]
    return Secrets(aws, arns)


def _with(keys: Mapping[str, str], here: Mapping[str, str]) -> str:
    return json.dumps({**keys, **{key: value for key, value in here.items() if key in keys}})


def _classes() -> Iterable[dict[str, Any]]:
    return (
        one for one in objects("platform", STACK)
        if one["kind"] == "SecretProviderClass" and _OURS.get(one["metadata"]["namespace"]) == one["metadata"]["name"]
    )  # fmt: skip
