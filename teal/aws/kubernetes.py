"""The few calls of Kubernetes' API that a release needs, with a token that AWS signs: no kubectl, no kubeconfig, no way into the VPC."""

from __future__ import annotations

import base64
import ssl
import time
from collections.abc import Callable, Generator
from typing import TYPE_CHECKING, Any, Final, cast

import httpx
import stamina
from botocore.exceptions import BotoCoreError
from botocore.signers import RequestSigner

from teal.errors import OperatorError

if TYPE_CHECKING:
    import boto3

_TIMEOUT: Final = httpx.Timeout(15.0, connect=5.0)  # seconds
# EKS accepts a token for 15 minutes after it was signed, whatever X-Amz-Expires says; ten leave room for differing clocks.
_TOKEN_SECONDS: Final = 600
_URL_SECONDS: Final = 60
# A release polls for an hour: one lost response, or one API server that EKS replaces, must not fail it.
_TRIES: Final = 3
_BUSY: Final = (429, 500, 502, 503, 504)
_MANAGER: Final = "teal"  # the API server's name for who changed a field
_MERGE: Final = {"Content-Type": "application/merge-patch+json"}
_LOG_BYTES: Final = 1_000_000  # of a Job's log; the output of `app.admin` is a few hundred bytes


class KubernetesFailed(OperatorError):
    """The cluster did not answer or refused."""

    code = "kubernetes-failed"


class _Busy(Exception):
    """The API server answered that it can not answer now."""

    def __init__(self, answer: httpx.Response) -> None:
        super().__init__(str(answer.status_code))
        self.answer = answer


class EksToken(httpx.Auth):
    """A presigned `sts:GetCallerIdentity` as bearer token, signed again when it is ten minutes old. Signing sends no request."""

    def __init__(self, session: boto3.Session, cluster: str, region: str, now: Callable[[], float] = time.monotonic) -> None:
        self._session, self._cluster, self._region, self._now = session, cluster, region, now
        self._token, self._made = "", float("-inf")

    def auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response, None]:
        if self._now() - self._made > _TOKEN_SECONDS:
            self._token, self._made = self._sign(), self._now()
        request.headers["Authorization"] = f"Bearer {self._token}"
        yield request

    def _sign(self) -> str:
        client = self._session.client("sts", region_name=self._region)
        signer = RequestSigner(client.meta.service_model.service_id, self._region, "sts", "v4",
                               cast(Any, self._session.get_credentials()), client.meta.events)  # fmt: skip
        asked: Any = {
            "method": "GET",
            "url": f"https://sts.{self._region}.amazonaws.com/?Action=GetCallerIdentity&Version=2011-06-15",
            "body": {},
            "headers": {"x-k8s-aws-id": self._cluster},
            "context": {},
        }
        url = signer.generate_presigned_url(asked, operation_name="", expires_in=_URL_SECONDS, region_name=self._region)
        return "k8s-aws-v1." + base64.urlsafe_b64encode(url.encode()).decode().rstrip("=")


def connect_cluster(session: boto3.Session, region: str, name: str, endpoint: str, ca_data: str) -> KubernetesClient:
    """A client of the cluster at `endpoint`, verified with the cluster's own CA (`ca_data`: base64 PEM, as EKS returns it).
    Sends no request yet."""
    verify = ssl.create_default_context(cadata=base64.b64decode(ca_data).decode("ascii"))
    client = httpx.Client(
        base_url=endpoint, verify=verify, auth=EksToken(session, name, region), timeout=_TIMEOUT, trust_env=False
    )
    return KubernetesClient(client, name)


class KubernetesClient:
    """Kubernetes objects as plain JSON. None means that the object does not exist; any other failure raises KubernetesFailed."""

    def __init__(self, client: httpx.Client, name: str) -> None:
        self._client, self._name = client, name

    def deployment(self, namespace: str, name: str) -> dict[str, Any] | None:
        return self._get(f"/apis/apps/v1/namespaces/{namespace}/deployments/{name}")

    def autoscaler(self, namespace: str, name: str) -> dict[str, Any] | None:
        return self._get(f"/apis/autoscaling/v2/namespaces/{namespace}/horizontalpodautoscalers/{name}")

    def change_autoscaler(self, namespace: str, name: str, spec: dict[str, Any]) -> None:
        """Merge `spec` into the autoscaler's; no error when there is none."""
        path = f"/apis/autoscaling/v2/namespaces/{namespace}/horizontalpodautoscalers/{name}"
        self._ask("PATCH", path, json={"spec": spec}, params={"fieldManager": _MANAGER})

    def pods(self, namespace: str, selector: str) -> list[dict[str, Any]]:
        found = self._get(f"/api/v1/namespaces/{namespace}/pods", {"labelSelector": selector})
        return list(found["items"]) if found else []

    def warnings(self, namespace: str, pod: str) -> list[dict[str, Any]]:
        """The events of a pod that tell of something wrong; Kubernetes keeps them for an hour."""
        selector = f"involvedObject.kind=Pod,involvedObject.name={pod},type=Warning"
        found = self._get(f"/api/v1/namespaces/{namespace}/events", {"fieldSelector": selector})
        return list(found["items"]) if found else []

    def job(self, namespace: str, name: str) -> dict[str, Any] | None:
        return self._get(f"/apis/batch/v1/namespaces/{namespace}/jobs/{name}")

    def create_job(self, namespace: str, job: dict[str, Any]) -> None:
        self._ask("POST", f"/apis/batch/v1/namespaces/{namespace}/jobs", json=job)

    def delete_job(self, namespace: str, name: str) -> None:
        """Delete the Job and its pods; no error when it is gone already."""
        self._ask("DELETE", f"/apis/batch/v1/namespaces/{namespace}/jobs/{name}", params={"propagationPolicy": "Background"})

    def log(self, namespace: str, pod: str) -> str:
        answer = self._ask("GET", f"/api/v1/namespaces/{namespace}/pods/{pod}/log", params={"limitBytes": str(_LOG_BYTES)})
        return answer.text if answer is not None else ""

    def _get(self, path: str, params: dict[str, str] | None = None) -> dict[str, Any] | None:
        answer = self._ask("GET", path, params=params)
        return cast(dict[str, Any], answer.json()) if answer is not None else None

    def _ask(self, method: str, path: str, *, params: dict[str, str] | None = None, json: Any = None) -> httpx.Response | None:
        where = f"cluster {self._name}, {method} {path}"
        try:
            if method == "POST":  # the object may exist although its response was lost
                answer = self._client.request(method, path, params=params, json=json)
            else:
                answer = self._persistently(method, path, params, json)
        except (httpx.HTTPError, BotoCoreError) as error:
            raise KubernetesFailed(f"The cluster did not answer: {error}", where=where,
                                   next=f"aws eks describe-cluster --name {self._name}") from error  # fmt: skip
        if answer.status_code == 404 and method != "POST":
            return None
        if answer.is_error:
            try:
                said = answer.json().get("message", "")
            except ValueError:
                said = answer.text[:200]
            next_command = "aws sts get-caller-identity" if answer.status_code in (401, 403) else "teal repair"
            raise KubernetesFailed(f"The cluster refused ({answer.status_code}): {said}", where=where, next=next_command)
        return answer

    def _persistently(self, method: str, path: str, params: dict[str, str] | None, json: Any) -> httpx.Response:
        """Send the request, again while there is no response or the API server is busy; returns the last response."""
        try:
            for attempt in stamina.retry_context(
                on=(httpx.TransportError, _Busy), attempts=_TRIES, timeout=None, wait_initial=0.2, wait_jitter=0.2
            ):
                with attempt:
                    answer = self._client.request(
                        method, path, params=params, json=json, headers=_MERGE if method == "PATCH" else None
                    )
                    if answer.status_code in _BUSY:
                        raise _Busy(answer)
                    return answer
        except _Busy as busy:
            return busy.answer
        raise AssertionError("unreachable: the loop returns or raises")
