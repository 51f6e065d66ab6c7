"""Does a part answer, asked of the part itself."""

from __future__ import annotations

import httpx

from teal.client import Address, Client
from teal.errors import OperatorError

PROBE_SECONDS = 3.0


def http_ok(url: str) -> tuple[bool, str]:
    """Whether a loopback address answers 200, and what it said."""
    try:
        answer = httpx.get(url, timeout=PROBE_SECONDS, trust_env=False)
    except httpx.HTTPError as error:
        return False, "does not answer" if isinstance(error, httpx.ConnectError) else f"does not answer ({type(error).__name__})"
    return answer.status_code == 200, _words(answer)


def app_ok(url: str) -> tuple[bool, str, str | None]:
    """Whether an app process does all its work, what it said, and what it lacks to search by meaning (which its work goes on without)."""
    try:
        answer = httpx.get(url, timeout=PROBE_SECONDS, trust_env=False)
        body = answer.json()
    except (httpx.HTTPError, ValueError):
        return *http_ok(url), None
    reasons = dict(body.get("reasons") or {}) if isinstance(body, dict) else {}
    if answer.status_code == 200 and set(reasons) == {"model"}:
        return True, "ready, by words alone", str(reasons["model"])
    said = _words(answer)
    return answer.status_code == 200 and said == "ready", said, None


def _words(answer: httpx.Response) -> str:
    try:
        body = answer.json()
    except ValueError:
        return f"HTTP {answer.status_code}"
    if not isinstance(body, dict):
        return f"HTTP {answer.status_code}"
    reasons = body.get("reasons")
    said = (
        "; ".join(f"{name}: {why}" for name, why in reasons.items())
        if isinstance(reasons, dict)
        else "; ".join(map(str, reasons or ()))
    )
    return said or str(body.get("status") or body.get("detail") or f"HTTP {answer.status_code}")


def front_ok(where: Address) -> tuple[bool, str]:
    """Whether Caddy answers over HTTPS with a certificate its own CA signed, and whether an app stands behind it."""
    try:
        with Client(where) as client:
            client.get("/healthz")
    except OperatorError as error:
        return False, error.what
    return True, "HTTPS verified"


def redis_ok(url: str) -> tuple[bool, str]:
    """Whether Redis answers PING."""
    import redis

    try:
        with redis.Redis.from_url(url, socket_timeout=PROBE_SECONDS, socket_connect_timeout=PROBE_SECONDS) as client:
            client.ping()
    except (redis.RedisError, ValueError) as error:
        return False, f"does not answer ({type(error).__name__})"
    return True, "PONG"


def elasticsearch_ok(url: str) -> tuple[bool, str]:
    """Whether the cluster answers and is not red. (The reduced distribution has no `GET /`.)"""
    try:
        answer = httpx.get(f"{url.rstrip('/')}/_cluster/health", timeout=PROBE_SECONDS, trust_env=False)
    except httpx.HTTPError as error:
        return False, f"does not answer ({type(error).__name__})"
    if answer.status_code in (401, 403):
        return True, "answers; whether its credentials are right, the app's readiness says"
    colour = answer.json().get("status") if answer.status_code == 200 else None
    return colour in ("green", "yellow"), f"cluster is {colour}" if colour else f"HTTP {answer.status_code}"
