"""Counts from a Prometheus: Amazon's managed one (requests signed with SigV4) or any other that speaks its HTTP API."""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Mapping
from types import MappingProxyType
from typing import Any, Final

import httpx
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials, ReadOnlyCredentials
from botocore.exceptions import BotoCoreError

from teal.errors import OperatorError
from teal.metrics.port import Counts
from teal.metrics.scrape import LATENCY, PLAIN, REQUESTS, SLOW_SECONDS, UNSEEN, NobodyAnswers
from teal.record import Color

_TIMEOUT_SECONDS: Final = 10.0
# Longer than any release with its rollback window and its pauses. `max_over_time` keeps what ended pods had counted in the sum;
# `increase` would miss the first count of every new label set, and a release's first error is one.
_WINDOW: Final = "24h"
_LE: Final = rf"{SLOW_SECONDS:g}(\\.0)?"  # Prometheus 2 keeps "1.0" as the service wrote it, 3 rewrites what it reads


def queries(selector: str) -> Mapping[str, str]:
    """PromQL for each count, over the series that `selector` names, such as `namespace="teal-blue"`."""
    people = f'{selector},route!~"{"|".join(sorted(UNSEEN))}"'

    def total(series: str, matchers: str = selector) -> str:
        return f"sum(max_over_time({series}{{{matchers}}}[{_WINDOW}]))"

    within = total(f"{LATENCY}_bucket", f'{people},le=~"{_LE}"')
    found = {
        "requests": total(f"{REQUESTS}_total", people),
        "errors": total(f"{REQUESTS}_total", f'{people},status=~"5.."'),
        "slow": f"{total(f'{LATENCY}_count', people)} - {within}",
        **{field: total(f"{metric}_total") for field, metric in PLAIN.items()},
    }
    return MappingProxyType(found)


class PrometheusMetrics:
    """`url`: of the query API, ending in /api/v1/query. `selectors`: what a color's series have in common. Seen up to a scrape interval late (30 s on AWS)."""

    def __init__(
        self,
        url: str,
        selectors: Mapping[Color, str],
        auth: httpx.Auth | None = None,
        transport: httpx.BaseTransport | None = None,
        now: Callable[[], float] = time.time,
    ) -> None:
        self._url = url
        self._selectors = selectors
        # trust_env off: no proxy or .netrc of the shell is meant for these requests.
        self._client = httpx.Client(auth=auth, timeout=_TIMEOUT_SECONDS, transport=transport, trust_env=False)
        self._now = now

    def read(self, color: Color) -> Counts:
        """Ten queries at one instant, so that shares are shares. Raises OperatorError: nobody was scraped, or Prometheus is away."""
        selector, at = self._selectors[color], self._now()
        if not self._ask(f"count(teal_build_info{{{selector}}})", at):
            raise NobodyAnswers(
                f"No process of {color} has been scraped within 5 minutes",
                where=f"{self._url} teal_build_info{{{selector}}}",
                next="teal history",
            )
        return Counts(**{name: int(self._ask(query, at)) for name, query in queries(selector).items()})

    def _ask(self, query: str, at: float) -> float:
        """The one number of an instant query; nothing counted yet is 0."""
        where = self._url
        try:
            answer = self._client.post(where, data={"query": query, "time": f"{at:.3f}"})
            body: dict[str, Any] = answer.json()
        except (httpx.HTTPError, ValueError, BotoCoreError) as error:
            raise OperatorError(f"Prometheus did not answer: {error}", where=where, next="teal resume") from error
        if answer.status_code != 200 or body.get("status") != "success":
            said = body.get("error") or body.get("message") or "no reason given"
            raise OperatorError(
                f"Prometheus refused ({answer.status_code}): {said}", where=where, next="aws sts get-caller-identity"
            )
        result = body["data"]["result"]
        return float(result[0]["value"][1]) if result else 0.0


class SigV4(httpx.Auth):
    """Signs each request for one AWS service; `credentials` renews itself."""

    requires_request_body = True

    def __init__(self, credentials: Credentials | ReadOnlyCredentials, service: str, region: str) -> None:
        self._credentials, self._service, self._region = credentials, service, region

    def auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response, None]:
        signed = AWSRequest(
            method=request.method,
            url=str(request.url),
            data=request.content,
            headers={"Content-Type": request.headers.get("Content-Type", "")},
        )
        SigV4Auth(self._credentials, self._service, self._region).add_auth(signed)
        for name in ("Authorization", "X-Amz-Date", "X-Amz-Security-Token"):
            if name in signed.headers:
                request.headers[name] = signed.headers[name]
        yield request
