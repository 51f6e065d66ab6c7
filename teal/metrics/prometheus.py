"""Counts from a Prometheus: Amazon's managed one (requests signed with SigV4) or any other that speaks its HTTP API."""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Mapping, Sequence
from typing import Any, Final

import httpx
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials, ReadOnlyCredentials
from botocore.exceptions import BotoCoreError

from teal.errors import OperatorError
from teal.metrics.gates import GATES, Gate, counters
from teal.metrics.scrape import NobodyAnswers
from teal.ports.metrics import Counts
from teal.record.model import Color

_TIMEOUT_SECONDS: Final = 10.0
# How long before the first reading the counts begin: longer than a pod goes unscraped and comes back with all that it counted before. Each reading
# pays for all samples from there on, so that a day of them would cost twenty times as much in a release of an hour.
LOOK_BACK_SECONDS: Final = 3_600.0


class PrometheusMetrics:
    """The `Metrics` port by Prometheus. `url`: the query API, ending in /api/v1/query. `selectors`: matchers for each color's
    series. Counts are up to a scrape interval old (30 s on AWS).

    All readings of one object begin at the same moment. A window that moved with the clock would drop the counts of pods that
    ended long ago, in the middle of a release: the sum goes back, and `Counts.since` may then take all that is left of it for new requests.
    """

    def __init__(
        self,
        url: str,
        selectors: Mapping[Color, str],
        auth: httpx.Auth | None = None,
        transport: httpx.BaseTransport | None = None,
        now: Callable[[], float] = time.time,
        gates: Sequence[Gate] = GATES,
    ) -> None:
        self._url = url
        self._selectors = selectors
        self._counters = counters(gates)
        # trust_env off: these requests must not use a proxy or .netrc of the shell.
        self._client = httpx.Client(auth=auth, timeout=_TIMEOUT_SECONDS, transport=transport, trust_env=False)
        self._now = now
        self._begin: float | None = None

    def read(self, color: Color) -> Counts:
        """One query for each counter, all for the same instant, so that their shares are consistent. A counter without any series
        is left out, or 0 if it is lazy. Raises OperatorError when no process was scraped or Prometheus does not answer."""
        selector, at = self._selectors[color], self._now()
        if self._begin is None:
            self._begin = at - LOOK_BACK_SECONDS
        window = f"{round((at - self._begin) * 1000)}ms"
        if not self._ask(f"count(teal_build_info{{{selector}}})", at):
            raise NobodyAnswers(
                f"No process of {color} has been scraped within 5 minutes",
                where=f"{self._url} teal_build_info{{{selector}}}",
                next="teal history",
            )
        found = {}
        for counter in self._counters:
            value = self._ask(counter.read.promql(selector, window), at)
            if value is None and counter.read.lazy:
                value = 0.0
            if value is not None:
                found[counter.name] = int(value)
        return Counts(found)

    def _ask(self, query: str, at: float) -> float | None:
        """The single value of an instant query; None when no series matches."""
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
        return float(result[0]["value"][1]) if result else None


class SigV4(httpx.Auth):
    """Signs each request for one AWS service. `credentials` refreshes itself."""

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
