"""Renders the evidence as one HTML page with inline SVG, without scripts or external files.
Pure functions: gathered data in, text out."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from html import escape
from typing import Any, Final

from teal.html import Point, chart, html_page, html_table, largest_value

_COLORS: Final = {"blue": "#1f6feb", "green": "#1a7f37"}


def evidence_page(whole: Mapping[str, Any]) -> str:
    """The whole page. All text is escaped, because reasons may contain a server's response."""
    release, events = whole["release"], whole["events"]
    begin = datetime.fromisoformat(whole["began"])
    good = not whole["failure"] and not any(event.get("phase") == "Degraded" for event in events)
    verdict = "done" if good else str(whole["failure"] or "undone")
    return html_page(f"{whole['verb']} {release['id']}", [
        f'<p class="{"good" if good else "bad"}">{escape(verdict)}</p>',
        _facts(whole),
        "<h2>Shares of the requests, %</h2>", _chart(_weights(events, begin), 100.0),
        "<h2>Requests per second</h2>", _chart(rates := _rates(events, begin, None, "requests"), largest_value(rates)),
        *_gate_charts(events, begin),
        "<h2>Gates</h2>", _gates(events), *_replay(events), "<h2>Plan</h2>", _plan(release["steps"], events), *_hooks(whole), *_log(events), "<h2>What happened</h2>", _events(events),
    ])  # fmt: skip


def _facts(whole: Mapping[str, Any]) -> str:
    release = whole["release"]
    state, replaces = release["state"], release["replaces"] or {}
    rows = [("where", whole["target"]), ("color", f"{release['target']}, in place of {release['previous'] or 'nothing'}"),
            ("image", f"{state['label']} {state['image']}"), ("replaces", f"{replaces.get('label', '')} {replaces.get('image', 'nothing')}"),
            ("made from", whole.get("made_from") or "not known"), ("other packages", "; ".join(whole.get("packages", ())) or "none known"),
            ("other configuration", "; ".join(whole.get("configuration", ())) or "none"), ("migrations", _migrations(whole["events"])), ("index", state["index"]), ("schema", f"{state['schema_min']} to {state['schema_max']}"), ("released by", release["who"]),
            (f"{whole['verb']} by", whole["who"]), ("began", whole["began"]), ("ended", whole["ended"])]  # fmt: skip
    return html_table((), [[str(name), f"<code>{escape(str(value).strip())}</code>"] for name, value in rows])


def _migrations(events: Sequence[Mapping[str, Any]]) -> str:
    return ", ".join(str(one) for event in events for one in event.get("migrations", ())) or "none"


def _weights(events: Sequence[Mapping[str, Any]], begin: datetime) -> dict[str, list[Point]]:
    """The shares over time as step lines: a share holds until the next one is set."""
    found: dict[str, list[Point]] = {"blue": [], "green": []}
    for event in events:
        for color, share in (event.get("weights") or {}).items():
            at, line = _seconds(event, begin), found[color]
            if line and line[-1][1] != share:
                line.append((at, line[-1][1]))
            line.append((at, float(share)))
    end = max((_seconds(event, begin) for event in events), default=0.0)
    return {color: [*line, (end, line[-1][1])] if line else [] for color, line in found.items()}


def _gate_charts(events: Sequence[Mapping[str, Any]], begin: datetime) -> Iterator[str]:
    """A chart for each gate that had samples: the share of bad requests in each color."""
    gates = {gate["gate"]: gate for event in events for gate in event.get("gates", ()) if gate["target_total"]}
    for name, gate in gates.items():
        yield f"<h2>{escape(name.capitalize())}, % of {escape(gate['total'].replace('_', ' '))}</h2>"
        yield _chart(lines := _rates(events, begin, gate["bad"], gate["total"]), largest_value(lines, 1.0))


def _rates(events: Sequence[Mapping[str, Any]], begin: datetime, bad: str | None, total: str) -> dict[str, list[Point]]:
    """For each interval between two looks of a step: `total` per second, or the share of `bad` in percent."""
    found: dict[str, list[Point]] = {"blue": [], "green": []}
    before: Mapping[str, Any] = {}
    for event in events:
        if "counts" not in event:
            continue
        same = before.get("step") == event["step"]
        seconds = event["seconds"] - (before["seconds"] if same else 0.0)
        for color, counts in event["counts"].items():
            earlier = before["counts"].get(color, {}) if same else {}
            samples = counts.get(total, 0) - earlier.get(total, 0)
            if bad is None and seconds > 0:
                found[color].append((_seconds(event, begin), samples / seconds))
            elif bad is not None and samples > 0:
                found[color].append((_seconds(event, begin), 100 * (counts.get(bad, 0) - earlier.get(bad, 0)) / samples))
        before = event
    return found


def _seconds(event: Mapping[str, Any], begin: datetime) -> float:
    return (datetime.fromisoformat(event["at"]) - begin).total_seconds()


def _chart(lines: Mapping[str, Sequence[Point]], most: float) -> str:
    label = "; ".join(f"{color} ends at {line[-1][1]:.4g}" for color, line in lines.items() if line) or "no samples"
    return chart(lines, most, _COLORS, label)


def _gates(events: Sequence[Mapping[str, Any]]) -> str:
    """A table of the gates at the last look of each step."""
    last = {event["step"]: event for event in events if event.get("gates")}
    rows = [
        [escape(step), escape(gate["gate"]), f'<span class="{_mark(gate["verdict"])}">{gate["verdict"]}</span>',
         f"{gate['target_bad']} of {gate['target_total']}", f"{gate['active_bad']} of {gate['active_total']}", f"{gate['p']:.3g}",
         escape(gate["reason"])]
        for step, event in last.items() for gate in event["gates"]
    ]  # fmt: skip
    return html_table(("step", "gate", "verdict", "new color: bad of samples", "active", "p", "why"), rows)


def _replay(events: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """How both colors answered recorded queries of users; nothing if none were replayed."""
    for table in (event["replay"] for event in events if event.get("replay")):
        yield f"<h2>{table['queries']} recorded queries of users, sent to both colors</h2>"
        rows = [
            [escape(one["what"]), escape(one["new"]), escape(one["active"]), "" if one["p"] is None else f"{one['p']:.3g}",
             "" if one["p"] is None else f'<span class="{"bad" if one["worse"] else "good"}">{"worse" if one["worse"] else "no worse"}</span>']
            for one in table["rows"]
        ]  # fmt: skip
        yield html_table(("", "new color", "active", "p", ""), rows)


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
    return html_table(("step", "does", "undone by", "state"), rows)


def _log(events: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """The last error lines of the failed color."""
    if lines := [str(line) for event in events for line in event.get("log", ())]:
        yield "<h2>Errors in the logs of the new color</h2>"
        yield f"<pre>{escape(chr(10).join(lines))}</pre>"


def _hooks(whole: Mapping[str, Any]) -> Iterator[str]:
    """The hooks and notifications of the release; nothing if there were none."""
    rows = [[escape(hook["name"]), escape(hook["when"]), escape(hook["says"])] for hook in whole.get("hooks", ())]
    rows += [[escape(one["send"]), escape(", ".join(one["about"])), escape(one["to"])] for one in whole.get("notifications", ())]
    if rows:
        yield "<h2>Hooks and notifications</h2>"
        yield html_table(("name", "when", "what"), rows)


def _events(events: Sequence[Mapping[str, Any]]) -> str:
    told = [event for event in events if "gates" not in event]
    return html_table(
        ("at", "step", "", ""),
        [
            [escape(event["at"][11:19]), escape(event["step"]), escape(event["state"]), escape(str(event.get("detail", "")))]
            for event in told
        ],
    )
