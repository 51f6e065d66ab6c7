"""The evidence as one HTML page with inline SVG: no script, nothing loaded from elsewhere. Pure: the gathered data in, text out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from html import escape
from typing import Any, Final

_WIDTH: Final = 760  # SVG units; the page scales it
_HEIGHT: Final = 160
_COLORS: Final = {"blue": "#1f6feb", "green": "#1a7f37"}
Point = tuple[float, float]

_STYLE: Final = """body{font:15px/1.45 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem;color:#1f2328;background:#fff}
table{border-collapse:collapse;width:100%}td,th{text-align:left;padding:.25rem .6rem;border-bottom:1px solid #d0d7de;vertical-align:top}
svg{width:100%;height:auto;background:#f6f8fa}code{font-size:.9em;overflow-wrap:anywhere}.bad{color:#b42318;font-weight:600}.good{color:#1a7f37}
@media(prefers-color-scheme:dark){body{background:#0d1117;color:#e6edf3}svg{background:#161b22}td,th{border-color:#30363d}}"""


def render(whole: Mapping[str, Any]) -> str:
    """A whole page. Every text is escaped: reasons may carry what a server answered."""
    release, events = whole["release"], whole["events"]
    begin = datetime.fromisoformat(whole["began"])
    good = not whole["failure"] and not any(event.get("phase") == "Degraded" for event in events)
    verdict = "done" if good else str(whole["failure"] or "undone")
    return "\n".join([
        "<!doctype html>", '<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">',
        f"<title>{escape(str(whole['verb']))} {escape(release['id'])}</title><style>{_STYLE}</style></head><body>",
        f"<h1>{escape(str(whole['verb']))} {escape(release['id'])}</h1>",
        f'<p class="{"good" if good else "bad"}">{escape(verdict)}</p>',
        _facts(whole),
        "<h2>Shares of the requests, %</h2>", _chart(_weights(events, begin), 100.0),
        "<h2>Requests per second</h2>", _chart(rates := _rates(events, begin, None), _top(rates)),
        "<h2>Errors, % of the requests</h2>", _chart(errors := _rates(events, begin, "errors"), _top(errors, 1.0)),
        "<h2>Later than the SLO, % of the requests</h2>", _chart(slow := _rates(events, begin, "slow"), _top(slow, 1.0)),
        "<h2>Gates</h2>", _gates(events), "<h2>Plan</h2>", _plan(release["steps"], events), "<h2>What happened</h2>", _events(events),
        "</body></html>",
    ])  # fmt: skip


def _facts(whole: Mapping[str, Any]) -> str:
    release = whole["release"]
    state, replaces = release["state"], release["replaces"] or {}
    rows = [("where", whole["target"]), ("color", f"{release['target']}, in place of {release['previous'] or 'nothing'}"),
            ("image", f"{state['label']} {state['image']}"), ("replaces", f"{replaces.get('label', '')} {replaces.get('image', 'nothing')}"),
            ("index", state["index"]), ("schema", f"{state['schema_min']} to {state['schema_max']}"), ("released by", release["who"]),
            (f"{whole['verb']} by", whole["who"]), ("began", whole["began"]), ("ended", whole["ended"])]  # fmt: skip
    return _table((), [[str(name), f"<code>{escape(str(value).strip())}</code>"] for name, value in rows])


def _weights(events: Sequence[Mapping[str, Any]], begin: datetime) -> dict[str, list[Point]]:
    """Steps: a share holds until the next one is set."""
    found: dict[str, list[Point]] = {"blue": [], "green": []}
    for event in events:
        for color, share in (event.get("weights") or {}).items():
            at, line = _seconds(event, begin), found[color]
            if line and line[-1][1] != share:
                line.append((at, line[-1][1]))
            line.append((at, float(share)))
    end = max((_seconds(event, begin) for event in events), default=0.0)
    return {color: [*line, (end, line[-1][1])] if line else [] for color, line in found.items()}


def _rates(events: Sequence[Mapping[str, Any]], begin: datetime, bad: str | None) -> dict[str, list[Point]]:
    """Between two looks of one step: requests per second, or the share of `bad` in percent."""
    found: dict[str, list[Point]] = {"blue": [], "green": []}
    before: Mapping[str, Any] = {}
    for event in events:
        if "counts" not in event:
            continue
        same = before.get("step") == event["step"]
        seconds = event["seconds"] - (before["seconds"] if same else 0.0)
        for color, counts in event["counts"].items():
            earlier = before["counts"].get(color, {}) if same else {}
            requests = counts["requests"] - earlier.get("requests", 0)
            if bad is None and seconds > 0:
                found[color].append((_seconds(event, begin), requests / seconds))
            elif bad is not None and requests > 0:
                found[color].append((_seconds(event, begin), 100 * (counts[bad] - earlier.get(bad, 0)) / requests))
        before = event
    return found


def _seconds(event: Mapping[str, Any], begin: datetime) -> float:
    return (datetime.fromisoformat(event["at"]) - begin).total_seconds()


def _top(lines: Mapping[str, Sequence[Point]], least: float = 0.1) -> float:
    return max([least, *(value for line in lines.values() for _, value in line)])


def _chart(lines: Mapping[str, Sequence[Point]], top: float) -> str:
    end = max([1.0, *(at for line in lines.values() for at, _ in line)])
    label = "; ".join(f"{color} ends at {line[-1][1]:.4g}" for color, line in lines.items() if line) or "no samples"
    drawn = []
    for color, line in lines.items():
        places = " ".join(
            f"{40 + at / end * (_WIDTH - 50):.1f},{_HEIGHT - 20 - value / top * (_HEIGHT - 35):.1f}" for at, value in line
        )
        drawn.append(
            f'<polyline fill="none" stroke="{_COLORS[color]}" stroke-width="2" points="{places}"><title>{color}</title></polyline>'
        )
    axis = (f'<text x="2" y="16" font-size="11" fill="#777">{top:.4g}</text><text x="2" y="{_HEIGHT - 20}" font-size="11" fill="#777">0</text>'
            f'<text x="{_WIDTH - 60}" y="{_HEIGHT - 4}" font-size="11" fill="#777">{end:.0f} s</text>')  # fmt: skip
    return f'<svg viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" aria-label="{escape(label)}">{axis}{"".join(drawn)}</svg><p>{escape(label)}</p>'


def _gates(events: Sequence[Mapping[str, Any]]) -> str:
    """The last look of each step."""
    last = {event["step"]: event for event in events if event.get("gates")}
    rows = [
        [escape(step), escape(gate["gate"]), f'<span class="{_mark(gate["verdict"])}">{gate["verdict"]}</span>',
         f"{gate['target_bad']} of {gate['target_total']}", f"{gate['active_bad']} of {gate['active_total']}", f"{gate['p']:.3g}",
         escape(gate["reason"])]
        for step, event in last.items() for gate in event["gates"]
    ]  # fmt: skip
    return _table(("step", "gate", "verdict", "new color: bad of samples", "active", "p", "why"), rows)


def _mark(verdict: str) -> str:
    return {"Successful": "good", "Failed": "bad"}.get(verdict, "")


def _plan(steps: Sequence[Mapping[str, Any]], events: Sequence[Mapping[str, Any]]) -> str:
    states: dict[str, str] = {}
    for event in events:
        if event["state"] != "progress":
            states[event["step"]] = event["state"]
    rows = []
    for step in steps:
        name = step["action"] if step["percent"] is None else f"{step['action']}-{step['percent']}"
        rows.append([escape(name), escape(step["says"]), escape(step["undo"]), escape(states.get(name, "not reached"))])
    return _table(("step", "does", "undone by", "state"), rows)


def _events(events: Sequence[Mapping[str, Any]]) -> str:
    told = [event for event in events if "gates" not in event]
    return _table(
        ("at", "step", "", ""),
        [
            [escape(event["at"][11:19]), escape(event["step"]), escape(event["state"]), escape(str(event.get("detail", "")))]
            for event in told
        ],
    )


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Cells are HTML already."""
    top = f"<tr>{''.join(f'<th>{escape(name)}</th>' for name in head)}</tr>" if head else ""
    return f"<table>{top}{''.join('<tr>' + ''.join(f'<td>{cell}</td>' for cell in row) + '</tr>' for row in rows)}</table>"
