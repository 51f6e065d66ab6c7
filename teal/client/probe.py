"""Requests of the releaser itself, to one color through the load balancer."""

from __future__ import annotations

import json
import ssl
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from teal.client.entry import BYPASS_HEADER, ColorEndpoint
from teal.errors import BadInput, OperatorError

TIMEOUT = httpx.Timeout(30.0, connect=3.0)  # seconds: the analysis judges slow answers; here only a missing one is a failure
LIMITED_SECONDS = 1.0  # the window of a key's rate limit, which probes reach because they are sent quickly
LIMITED_TRIES = 3
BYPASS = {BYPASS_HEADER: "1"}


class ProbeFailed(OperatorError):
    """A color did not answer a probe as it must."""

    code = "probe-failed"


@dataclass(frozen=True, slots=True)
class GoldenQuestion:
    """A question, the words that its answer or citations must contain (in any case),
    and optionally the title that must be cited."""

    question: str
    words: tuple[str, ...] = ()
    title: str | None = None


def open_client(entry: ColorEndpoint) -> httpx.Client:
    """A client that reaches one color whatever its share of the traffic."""
    verify = ssl.create_default_context(cafile=entry.ca) if entry.ca else ssl.create_default_context()
    # trust_env off: a proxy setting must not send loopback traffic, or the probe's secret, elsewhere.
    return httpx.Client(base_url=entry.url, headers=dict(entry.headers), verify=verify, timeout=TIMEOUT, trust_env=False)


def read_golden_questions(path: Path) -> tuple[GoldenQuestion, ...]:
    """The questions of a file of JSON lines. Raises BadInput naming the line."""
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise BadInput(f"The golden questions can not be read: {error}", where=str(path), next=f"ls -l {path}") from error
    found = []
    for number, line in enumerate(text.split("\n"), start=1):  # not splitlines: a line separator may stand inside JSON's strings
        if not line.strip():
            continue
        try:
            row = json.loads(line)
            found.append(
                GoldenQuestion(str(row["question"]), tuple(str(word) for word in row.get("words", ())), row.get("title"))
            )
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise BadInput(f"It is no golden question: {error}", where=f"{path}:{number}", next=f"edit {path}") from error
    return tuple(found)


class Prober:
    """One color. Every method raises ProbeFailed when there is no answer at all."""

    def __init__(self, client: httpx.Client, headers: Mapping[str, str]) -> None:
        self._http, self._headers = client, dict(headers)

    def __enter__(self) -> Prober:
        return self

    def __exit__(self, *_: object) -> None:
        self._http.close()

    def warm(self, questions: tuple[GoldenQuestion, ...]) -> int:
        """Ask each question once with caching on; returns how many were answered.
        Failures are ignored here and judged by later steps."""
        return sum(
            self._send("POST", "/v1/ask", self._headers, json={"question": one.question}).status_code == 200 for one in questions
        )

    def passes(self, one: GoldenQuestion) -> tuple[bool, str]:
        """Whether the color answers a golden question as expected, and what is wrong. Bypasses the caches.
        Raises ProbeFailed for 5xx."""
        answer = self._send("POST", "/v1/ask", self._headers | BYPASS, json={"question": one.question})
        if answer.status_code != 200:
            raise ProbeFailed(
                f"{answer.status_code} for {one.question!r}: {answer.text[:200]}",
                where=str(answer.request.url),
                next="teal logs app",
            )
        body = answer.json()
        cited = body.get("citations", [])
        said = " ".join([str(body.get("answer", "")), *(str(each.get("passage", "")) for each in cited)]).lower()
        missing = [word for word in one.words if word.lower() not in said]
        if missing:
            return False, f"{one.question!r}: nothing about {', '.join(missing)}"
        if one.title and one.title not in [each.get("title") for each in cited]:
            return False, f"{one.question!r}: {one.title} is not cited"
        return True, ""

    def answers(self) -> str:
        """Why the color does not serve people: no answer, or a 5xx to a search; empty when it does. Never raises."""
        try:
            found = self._send("POST", "/v1/search", self._headers | BYPASS, json={"query": "Does it answer?"})
        except ProbeFailed as error:
            return error.what
        # A 4xx counts as an answer: the service refuses a request without a key.
        return "" if found.status_code < 500 else f"{found.status_code}: {found.text[:200]}"

    def from_cache(self, query: str) -> bool:
        """Search with the caches on; whether the answer came from one."""
        answer = self._send("POST", "/v1/search", self._headers, json={"query": query})
        return str(answer.headers.get("X-Cache", "")).startswith("hit")

    def call(self, method: str, path: str, **options: Any) -> httpx.Response:
        """Send one request as users do, bypassing the caches; retries when the key's rate limit refused it.
        Raises ProbeFailed without an answer."""
        for _ in range(LIMITED_TRIES - 1):
            found = self._send(method, path, self._headers | BYPASS, **options)
            if found.status_code != 429:
                return found
            time.sleep(LIMITED_SECONDS)
        return self._send(method, path, self._headers | BYPASS, **options)

    def sample(self, questions: tuple[GoldenQuestion, ...], count: int, first: int, *, streams_only: bool = False) -> None:
        """Send `count` requests as users do (search, ask, streamed ask).
        The service's own counters count them, failures included.

        Stops at the first request without any answer, so that the releaser does not wait for each of the others in turn."""
        for number in range(first, first + count):
            question = questions[number % len(questions)].question if questions else "What is this?"
            headers = self._headers | BYPASS
            try:
                match 2 if streams_only else number % 3:
                    case 0:
                        self._http.post("/v1/search", headers=headers, json={"query": question})
                    case 1:
                        self._http.post("/v1/ask", headers=headers, json={"question": question})
                    case _:
                        self._http.post("/v1/ask", headers=headers, json={"question": question, "stream": True})
            except httpx.HTTPError:
                return  # the analysis and the color's readiness will show it

    def ingest(self, release_id: str, wait: Callable[[], bool]) -> None:
        """Send a document to the color, wait until its worker has indexed it, delete it.
        `wait` sleeps and returns whether time is left."""
        path = self._put_document(release_id)
        try:
            while True:
                found = self._send("GET", path, self._headers)
                state = found.json().get("status") if found.status_code == 200 else f"{found.status_code}"
                if state == "indexed":
                    return
                if state == "failed" or not wait():
                    raise ProbeFailed(f"A document was not indexed: it is {state}", where=path, next="teal logs worker")
        finally:
            self._send("DELETE", path, self._headers)

    def forget(self, release_id: str) -> None:
        """Delete the document of `ingest` if a killed releaser left it.
        It is found by sending it again: the same content gets the same id."""
        self._send("DELETE", self._put_document(release_id), self._headers)

    def _put_document(self, release_id: str) -> str:
        text = f"Teal checks with this document that release {release_id} ingests. It is deleted at once."
        sent = self._send("POST", "/v1/documents", self._headers, json={"title": f"teal probe {release_id}", "text": text})
        if sent.status_code != 202:
            raise ProbeFailed(
                f"{sent.status_code} for a document: {sent.text[:200]}", where=str(sent.request.url), next="teal logs app"
            )
        return f"/v1/documents/{sent.json()['id']}"

    def _send(self, method: str, path: str, headers: Mapping[str, str], **options: Any) -> httpx.Response:
        try:
            return self._http.request(method, path, headers=dict(headers), **options)
        except httpx.HTTPError as error:
            raise ProbeFailed(
                f"No answer: {error or type(error).__name__}", where=f"{self._http.base_url}{path}", next="teal logs app"
            ) from error
