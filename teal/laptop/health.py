"""Asks a process of the service over HTTP whether it answers, and for its health."""

from __future__ import annotations

import httpx

PROBE_SECONDS = 3.0


def http_ok(url: str) -> tuple[bool, str]:
    """Whether a loopback URL answers 200, and the body or the error as text."""
    try:
        answer = httpx.get(url, timeout=PROBE_SECONDS, trust_env=False)
    except httpx.HTTPError as error:
        return False, "does not answer" if isinstance(error, httpx.ConnectError) else f"does not answer ({type(error).__name__})"
    return answer.status_code == 200, _words(answer)


def app_ok(url: str) -> tuple[bool, str, str | None]:
    """Three facts about an app process: whether it works fully, its message, and why it cannot search by meaning (None when it
    can). A process without the model still searches by words, and this does not count as its fault."""
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
