"""Writes the evidence of a release: a folder with all its events as JSON, and a page that shows them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import datetime
from typing import Any

from teal.errors import OperatorError
from teal.events import Event
from teal.record.person import person_name
from teal.record.source import compare_sources, read_source
from teal.release.announce import finish
from teal.release.context import ReleaseRun
from teal.release.evidence import page


def page_key(run: ReleaseRun, verb: str, began: datetime) -> str:
    return f"evidence/{run.plan.id}/{verb}-{began:%Y%m%dT%H%M%S%f}/index.html"


def write_evidence(run: ReleaseRun, verb: str, began: datetime, failure: str) -> Event:
    """Write `evidence/<id>/<verb>-<time>/release.json` and `index.html`; the returned event says where. Never raises
    OperatorError, because the release itself is over."""
    now = run.target.clock.now()
    key = page_key(run, verb, began)
    whole = gather_evidence(run, verb, began, now, failure)
    try:
        run.target.store.create(
            f"{key.removesuffix('index.html')}release.json", json.dumps(whole, indent=1, default=str).encode()
        )
        run.target.store.create(key, page.evidence_page(whole).encode())
    except OperatorError as error:
        return Event("evidence", "warn", f"could not be written: {error.what}")
    url = run.target.evidence_url(key)
    return Event("evidence", "ok", url, data={"url": url, "key": key})


def gather_evidence(run: ReleaseRun, verb: str, began: datetime, ended: datetime, failure: str) -> dict[str, Any]:
    """Everything as plain data: the plan, who, when, digests, and each event with its time."""
    return {
        "release": run.plan.model_dump(mode="json"),
        "target": run.target.name,
        "verb": verb,
        "who": person_name(),
        "began": began.isoformat(),
        "ended": ended.isoformat(),
        "failure": failure,
        **made_from(run),
        "hooks": [{"name": hook.name, "when": f"{hook.when} {hook.step}", "says": hook.says()} for hook in run.steering.hooks],
        "notifications": [{"send": one.send, "to": one.to, "about": list(one.about)} for one in run.steering.notifications],
        "events": [{"at": at.isoformat(), **event.fields()} for at, event in run.diary],
    }


def made_from(run: ReleaseRun) -> dict[str, Any]:
    """The release's source, and how it differs from the replaced release; empty when the store is down."""
    replaces = run.plan.replaces
    try:
        source = read_source(run.target.store, run.plan.id)
        before = read_source(run.target.store, replaces.release_id) if replaces else None
    except OperatorError:
        source = before = None
    return {"made_from": source.said() if source else "", **compare_sources(run.plan, source, before)}


def record_evidence(run: ReleaseRun, verb: str, events: Iterator[Event]) -> Iterator[Event]:
    """Pass the events on, and write the evidence after the last one, also after a failure."""
    began = run.target.clock.now()
    run.evidence = page_key(run, verb, began)
    try:
        yield from events
    except BaseException as error:
        _unsent(run)
        event = write_evidence(run, verb, began, getattr(error, "what", type(error).__name__))
        if not run.stopped and not isinstance(error, GeneratorExit):
            yield event
        raise
    for event in _unsent(run):
        yield event
    yield write_evidence(run, verb, began, "")


def _unsent(run: ReleaseRun) -> list[Event]:
    """Wait for pending notifications; returns an event for those that could not be sent."""
    return [run.told(Event("notification", "warn", said)) for said in finish(run)]
