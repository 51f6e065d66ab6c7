"""Stand-ins for what EKS puts before and into its API server: who a signed AWS token is, and the load balancer's readiness gates.

A token of `teal` (teal/aws/kubernetes.py) or of `aws eks get-token` is a signed question to AWS, who is this? EKS asks it, and maps the role of
the answer to a user and groups by an access entry. Here nobody is asked: whatever is such a token is the release role. The API server asks by the
same webhook as EKS's (TokenReview), so that all that comes after it, RBAC and admission, is the real one's.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from tests.cluster.apiserver import ApiServer
from tests.cluster.conftest import RELEASE
from tests.node.release import bindings
from tests.services.certificates import self_signed
from tests.services.http_stand_in import Handler, listening

PORT: Final = 9443  # in the machine's own network, where nothing else is
_PREFIX: Final = "k8s-aws-v1."
TOKEN: Final = f"{_PREFIX}of-these-tests"
_CACHE: Final = "10s"


def flags(folder: Path) -> tuple[str, ...]:
    """Arguments of the API server; writes what they name, and the certificate of `serving`, into `folder`."""
    self_signed(folder / "ca.pem", folder / "key.pem", ["localhost"])
    server = {"server": f"https://localhost:{PORT}/authenticate", "certificate-authority": str(folder / "ca.pem")}
    document = {
        "apiVersion": "v1", "kind": "Config", "current-context": "it", "clusters": [{"name": "it", "cluster": server}],
        "users": [{"name": "it", "user": {}}], "contexts": [{"name": "it", "context": {"cluster": "it", "user": "it"}}],
    }  # fmt: skip
    (folder / "authenticator.json").write_text(json.dumps(document))
    return ("--authentication-token-webhook-config-file", str(folder / "authenticator.json"),
            "--authentication-token-webhook-version", "v1", "--authentication-token-webhook-cache-ttl", _CACHE)  # fmt: skip


def write_aws(folder: Path) -> None:
    """The one command of `aws` that a kubeconfig of EKS runs."""
    credential = {"apiVersion": "client.authentication.k8s.io/v1beta1", "kind": "ExecCredential", "spec": {},
                  "status": {"token": TOKEN}}  # fmt: skip
    command = folder / "aws"
    command.write_text(f"#!/bin/sh\necho '{json.dumps(credential)}'\n")
    command.chmod(0o755)


@contextmanager
def serving(server: ApiServer, folder: Path) -> Iterator[None]:
    """Both webhooks. Starts them in this thread's network, and tells the API server of the second one."""
    answers: Mapping[str, Callable[[Mapping[str, Any]], dict[str, Any]]] = {
        "/authenticate": authenticate,
        "/mutate": lambda review: bindings.admit(server, review),
    }

    class Webhooks(Handler):
        def do_POST(self) -> None:
            said = answers[self.path.partition("?")[0]](json.loads(self.received()))
            self.answer(body=json.dumps(said).encode(), content_type="application/json")

    with listening(Webhooks, port=PORT, tls=folder):
        server.apply(
            bindings.webhook_object(f"https://localhost:{PORT}/mutate", (folder / "ca.pem").read_bytes()), "administrator"
        )
        yield


def authenticate(review: Mapping[str, Any]) -> dict[str, Any]:
    """The answer to a TokenReview."""
    known = review["spec"]["token"].startswith(_PREFIX)
    user = {"username": RELEASE.user, "groups": [group for group in RELEASE.groups if group != "system:authenticated"]}
    status = {"authenticated": True, "user": user} if known else {"authenticated": False}
    return {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenReview", "status": status}
