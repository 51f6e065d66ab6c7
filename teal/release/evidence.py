"""What a release leaves for people who ask later: a folder with everything it saw, and a page that shows it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import datetime
from typing import Any

from teal.errors import OperatorError
from teal.release import page
from teal.release.ledger import who
from teal.release.run import Run
from teal.stack.events import Event


def keep(run: Run, verb: str, began: datetime, failure: str) -> Event:
    """Write `evidence/<id>/<verb>-<time>/release.json` and `index.html`; the event says where. Never raises OperatorError: the release
    itself is over."""
    now = run.target.clock.now()
    folder = f"evidence/{run.document.id}/{verb}-{began:%Y%m%dT%H%M%S%f}"
    whole = gathered(run, verb, began, now, failure)
    try:
        run.target.store.create(f"{folder}/release.json", json.dumps(whole, indent=1, default=str).encode())
        run.target.store.create(f"{folder}/index.html", page.render(whole).encode())
    except OperatorError as error:
        return Event("evidence", "warn", f"could not be written: {error.what}")
    url = run.target.evidence_url(f"{folder}/index.html")
    return Event("evidence", "ok", url, data={"url": url, "key": f"{folder}/index.html"})


def gathered(run: Run, verb: str, began: datetime, ended: datetime, failure: str) -> dict[str, Any]:
    """Everything as plain data: the plan, who, when, digests, and each event with its time."""
    return {
        "release": run.document.model_dump(mode="json"),
        "target": run.target.name,
        "verb": verb,
        "who": who(),
        "began": began.isoformat(),
        "ended": ended.isoformat(),
        "failure": failure,
        "events": [{"at": at.isoformat(), **event.fields()} for at, event in run.diary],
    }


def evident(run: Run, verb: str, events: Iterator[Event]) -> Iterator[Event]:
    """The events, and the evidence after the last one, whatever it was."""
    began = run.target.clock.now()
    try:
        yield from events
    except BaseException as error:
        event = keep(run, verb, began, getattr(error, "what", type(error).__name__))
        if not run.stopped and not isinstance(error, GeneratorExit):
            yield event
        raise
    yield keep(run, verb, began, "")
