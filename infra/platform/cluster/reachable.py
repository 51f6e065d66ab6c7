"""Waits until the Kubernetes API accepts the credentials of the program's caller.

EKS says that access entries "may take several seconds to be effective" (awsdocs/amazon-eks-user-guide, manage-access/k8s-access/
grant-k8s-access.adoc). The Kubernetes provider asks the API once, when it is configured:
an answer of "unauthorized" at that moment makes it report an unreachable cluster for the whole run. Source: pulumi-eks waits up to 300 s for
an answer before it makes its provider (pulumi/pulumi-eks 7bf0c1b1, nodejs/eks/cluster/cluster.ts).
"""

from __future__ import annotations

import base64
import contextlib
import http.client
import json
import ssl
import subprocess
import time
import urllib.parse
from collections.abc import Callable
from typing import Final

from pulumi import RunError

WAIT_SECONDS: Final = 300
_POLL_SECONDS: Final = 5
_ANSWER_SECONDS: Final = 10
_TOKEN_SECONDS: Final = 30
_QUESTION: Final = "/api/v1/namespaces/kube-system"  # requires a right, so an access entry without its policy fails this check

Ask = Callable[[str, str, str, str], str]


def wait_for_api(
    region: str,
    name: str,
    endpoint: str,
    ca_data: str,
    ask: Ask | None = None,
    sleep: Callable[[float], None] = time.sleep,
    clock: Callable[[], float] = time.monotonic,
) -> None:
    """Return when the API has answered; raise RunError with its last answer and what to do after WAIT_SECONDS."""
    asked, begin = ask or api_failure, clock()
    while last := asked(region, name, endpoint, ca_data):
        if clock() - begin >= WAIT_SECONDS:
            raise RunError(
                f"The Kubernetes API of {name} did not answer for {WAIT_SECONDS} s: {last}\n"
                f"  next: aws eks update-kubeconfig --region {region} --name {name} && kubectl get namespace kube-system"
                " (cluster.endpoint_cidrs says which networks may ask)"
            )
        sleep(_POLL_SECONDS)


def api_failure(region: str, name: str, endpoint: str, ca_data: str) -> str:
    """Why the API did not answer; empty when it did."""
    try:
        token = _token(region, name)
        context = ssl.create_default_context(cadata=base64.b64decode(ca_data).decode())
        host = urllib.parse.urlsplit(endpoint).netloc
        connection = http.client.HTTPSConnection(host, timeout=_ANSWER_SECONDS, context=context)
        with contextlib.closing(connection):
            connection.request("GET", _QUESTION, headers={"Authorization": f"Bearer {token}"})
            response = connection.getresponse()
            return "" if response.status == http.HTTPStatus.OK else f"{response.status} {response.reason}"
    except (OSError, ValueError, KeyError, http.client.HTTPException, subprocess.SubprocessError) as error:
        return str(error)


def _token(region: str, name: str) -> str:
    # The same command as in the kubeconfig.
    command = ("aws", "--region", region, "eks", "get-token", "--cluster-name", name, "--output", "json")
    said = subprocess.run(command, capture_output=True, text=True, timeout=_TOKEN_SECONDS, check=True).stdout  # noqa: S603
    return str(json.loads(said)["status"]["token"])
