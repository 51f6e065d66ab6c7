"""Stand-ins for EKS Pod Identity's agent on a node, and for what IAM does with its credentials before Secrets Manager answers.

The agent answers at its own address. It asks the API server whose token it got, and takes one for its own audience alone; whom the platform associates with a
role gets credentials. A request to Secrets Manager with them is judged by that role's own policy, with the tag of the pod's namespace, as the platform
writes both; then moto answers. Not looked at: signatures, the trust policy, KMS, sessions' ends.
"""

from __future__ import annotations

import json
import re
import secrets
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from fnmatch import fnmatchcase
from typing import Any, Final

import httpx

from tests.cluster.apiserver import ApiServer
from tests.node import machine
from tests.node.node import Node
from tests.services.aws_place import ACCOUNT
from tests.services.aws_server import AwsServer
from tests.services.http_stand_in import Handler, listening

ADDRESS: Final = "169.254.170.23"  # of the agent on every EKS node
AUDIENCE: Final = "pods.eks.amazonaws.com"
_ACCOUNTS: Final = "system:serviceaccount:"  # how Kubernetes calls users who are one
_TARGET: Final = "X-Amz-Target"
_NAMESPACE_TAG: Final = "aws:PrincipalTag/kubernetes-namespace"
_Answer = tuple[int, dict[str, Any]]


@dataclass(frozen=True)
class Who:
    """A service account."""

    namespace: str
    account: str

    def __str__(self) -> str:
        return f"{_ACCOUNTS}{self.namespace}:{self.account}"


@dataclass
class SecretsManager:
    """`policies`: of the role that each account is associated with, as statements. `known`: whose credentials they are, by access key."""

    aws: AwsServer
    url: str
    policies: dict[Who, list[Mapping[str, Any]]]
    known: dict[str, Who] = field(default_factory=dict)

    def credentials(self, server: ApiServer, token: str) -> _Answer:
        """The agent's answer to the bearer of a token."""
        review = {
            "apiVersion": "authentication.k8s.io/v1",
            "kind": "TokenReview",
            "spec": {"token": token, "audiences": [AUDIENCE]},
        }
        status = server.ask("POST", "/apis/authentication.k8s.io/v1/tokenreviews", review)["status"]
        if not status.get("authenticated"):
            return 400, {"message": f"no token for {AUDIENCE}"}
        who = Who(*status["user"]["username"].removeprefix(_ACCOUNTS).split(":"))
        if who not in self.policies:
            return 404, {"message": f"no association of a role with {who}"}
        key = f"ASIA{secrets.token_hex(8).upper()}"
        self.known[key] = who
        ends = datetime.now(UTC) + timedelta(hours=6)
        return 200, {
            "AccessKeyId": key, "SecretAccessKey": secrets.token_hex(20), "Token": secrets.token_hex(20), "AccountId": ACCOUNT,
            "Expiration": ends.strftime("%Y-%m-%dT%H:%M:%SZ"),
        }  # fmt: skip

    def answer(self, headers: Mapping[str, str], body: bytes) -> _Answer:
        """Secrets Manager's to a signed request, in moto's words once the role may ask."""
        signed = re.search(r"Credential=(\w+)/", headers.get("Authorization", ""))
        who = self.known.get(signed[1]) if signed else None
        if who is None:
            return 400, {
                "__type": "UnrecognizedClientException",
                "message": "The security token included in the request is invalid.",
            }
        action = headers[_TARGET].replace(".", ":", 1)
        resource = json.loads(body)["SecretId"]
        if not self.allows(who, action, resource):
            said = (
                f"{who} is not authorized to perform: {action} on resource: {resource} because no identity-based policy allows it"
            )
            return 400, {"__type": "AccessDeniedException", "Message": said}
        passed = {name: headers[name] for name in (_TARGET, "Content-Type", "Authorization", "X-Amz-Date")}
        answer = httpx.post(self.aws.url, content=body, headers=passed, timeout=30, trust_env=False)
        return answer.status_code, answer.json()

    def allows(self, who: Who, action: str, resource: str) -> bool:
        """Whether a statement of its role does. The platform's have Allow alone, and StringEquals on a tag."""
        return any(
            one["Effect"] == "Allow"
            and _matches(one["Action"], action)
            and _matches(one["Resource"], resource)
            and all(
                kind == "StringEquals" and wanted == {_NAMESPACE_TAG: who.namespace}
                for kind, wanted in one.get("Condition", {}).items()
            )
            for one in self.policies.get(who, ())
        )


@contextmanager
def judging(aws: AwsServer, address: str, policies: dict[Who, list[Mapping[str, Any]]]) -> Iterator[SecretsManager]:
    """Before moto, at an address that every node reaches."""
    made = SecretsManager(aws, "", policies)
    with _listening(address, 0, made.answer) as port:
        made.url = f"http://{address}:{port}"
        yield made


@contextmanager
def agent(on: Node, manager: SecretsManager) -> Iterator[None]:
    """On a node, in its own network."""
    on.machine.run("ip", "address", "add", f"{ADDRESS}/32", "dev", "lo")
    with ExitStack() as running:
        with machine.inside(on.machine):
            running.enter_context(
                _listening(ADDRESS, 80, lambda headers, _: manager.credentials(on.server, headers.get("Authorization", "")))
            )
        yield


def _matches(wanted: str | list[str], value: str) -> bool:
    return any(fnmatchcase(value, one) for one in ([wanted] if isinstance(wanted, str) else wanted))


@contextmanager
def _listening(address: str, port: int, answer: Callable[[Mapping[str, str], bytes], _Answer]) -> Iterator[int]:
    class Aws(Handler):
        def _any(self) -> None:
            status, said = answer(dict(self.headers), self.received())
            self.answer(status, json.dumps(said).encode(), content_type="application/x-amz-json-1.1")

        do_GET = do_POST = _any

    with listening(Aws, address, port) as found:
        yield found
