"""Plots of a run as SVG text, by matplotlib. Pure functions;
the module is imported only when a page is written, because its import is slow."""

from __future__ import annotations

import io
from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise
from typing import Any, Final

import matplotlib as mpl
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullFormatter

from loadtests.history import PastRun
from loadtests.measured import (
    END,
    FIRST_EVENT,
    FIRST_TOKEN,
    HEALTH,
    QUESTIONS,
    SEARCH,
    Count,
    GeneratorHealth,
    LoadTestResult,
    MeasuredWindow,
    ServiceObservation,
    generator_health,
    total,
)

WIDTH_INCHES: Final = 9.0
HEIGHT_INCHES: Final = 2.6
# Left, bottom, width and height: the same in each plot, so that their time axes are aligned.
PLACE: Final = (0.07, 0.18, 0.70, 0.76)
PLACE_OF_TWO_SCALES: Final = (0.07, 0.18, 0.60, 0.76)
POINTS: Final = 90  # of a line, at most: a window needs several requests for a percentile
NAMES: Final = (SEARCH, FIRST_EVENT, FIRST_TOKEN, END, HEALTH)
COLORS: Final = {"blue": "#1f6feb", "green": "#1a7f37"}
Drawn = tuple[Figure, Any]  # a figure and its axes, not yet written
_GREY: Final = "#8b949e"  # readable on white and on black
_STYLE: Final[dict[str, Any]] = {
    "svg.fonttype": "none", "svg.hashsalt": "load", "font.size": 9, "axes.spines.top": False, "axes.spines.right": False,
    "text.color": _GREY, "axes.labelcolor": _GREY, "axes.edgecolor": _GREY, "xtick.color": _GREY, "ytick.color": _GREY,
    "axes.grid": True, "grid.color": _GREY, "grid.alpha": 0.25, "legend.frameon": False, "legend.labelcolor": _GREY,
}  # fmt: skip


def plots(result: LoadTestResult, beside: LoadTestResult | None = None) -> dict[str, str]:
    """{heading: SVG}. The horizontal axis of all plots is seconds since the start.
    A run and the one `beside` it have the same axes."""
    seconds = max(result.seconds, beside.seconds if beside else 0.0, 1.0)
    with mpl.rc_context(rc=_STYLE):  # type: ignore[arg-type]  # its stubs list every key there is
        found, others = _drawn(result, seconds), _drawn(beside, seconds) if beside else {}
        for heading, (_, axes) in found.items():
            if heading in others:
                ends = [end for each in (axes, others[heading][1]) for end in each.get_ylim()]
                axes.set_ylim(min(ends), max(ends))
        return {heading: _svg(figure, axes) for heading, (figure, axes) in found.items()}


def _drawn(result: LoadTestResult, seconds: float) -> dict[str, Drawn]:
    parts = merged(result.windows, POINTS)
    found = {
        "Latency, 95 % within, ms": _latency(seconds, parts),
        "Users and requests a second": _rates(seconds, parts, result.kind),
        "Failed requests a second": _failed(seconds, parts),
    }
    if any(one.generator.streams for one in parts):
        found["Open streams, and tokens a second"] = _streams(seconds, parts)
    if any(one.generator.lag_ms for one in parts):
        found["The generator: lateness of 99 % within, ms, and CPU, %"] = _generator(seconds, parts)
    if sum(bool(one.cpu) for one in result.seen) > 1:
        found["CPU of the service, cores"] = _cpu(seconds, result)
    if any(one.weights for one in result.seen):
        found["Shares of the load balancer, %"] = _weights(seconds, result)
    return found


def over_time(earlier: Sequence[PastRun]) -> str:
    """A plot of goodput with its intervals, and of p95 of searches, over the runs; it shows slow changes."""
    with mpl.rc_context(rc=_STYLE):  # type: ignore[arg-type]
        figure = Figure(figsize=(WIDTH_INCHES, HEIGHT_INCHES))
        axes = figure.add_axes(PLACE_OF_TWO_SCALES)
        runs = list(range(1, len(earlier) + 1))
        good = [(number, one.goodput) for number, one in zip(runs, earlier, strict=True) if one.goodput is not None]
        if good:
            means = [one.mean for _, one in good]
            spread = [[max(0.0, one.mean - (one.mean if one.low is None else one.low)) for _, one in good],
                      [max(0.0, (one.mean if one.high is None else one.high) - one.mean) for _, one in good]]  # fmt: skip
            axes.errorbar([number for number, _ in good], means, yerr=spread, label="goodput, a second", marker="o", capsize=3)
        late = [(number, one.search_p95_ms) for number, one in zip(runs, earlier, strict=True) if one.search_p95_ms is not None]
        if late:
            # A second axis: milliseconds are in the hundreds and answers a second in the tens, which would be a flat line.
            right = axes.twinx()
            (line,) = right.plot(*zip(*late, strict=True), label="search, 95 % within, ms", marker="s", color="C1", linewidth=1.2)
            right.set_ylim(bottom=0)
            right.grid(visible=False)
            right.spines["right"].set_visible(True)
            right.set_ylabel("ms")
            axes.plot([], [], label=line.get_label(), marker="s", color="C1", linewidth=1.2)  # in the shared legend
        axes.set_ylabel("answers a second")
        axes.set_xticks(runs, [one.release or f"{number}" for number, one in zip(runs, earlier, strict=True)])
        axes.set_ylim(bottom=0)
        return _svg(figure, axes, "run, oldest first", legend_at=1.08)


def merged(windows: Sequence[MeasuredWindow], most: int) -> list[MeasuredWindow]:
    """About `most` windows at most; neighbours of the same stage are merged."""
    size, found = max(1, -(-len(windows) // most)), list[MeasuredWindow]()
    pending: list[MeasuredWindow] = []
    for number, one in enumerate(windows):
        pending.append(one)
        if len(pending) == size or number + 1 == len(windows) or windows[number + 1].stage != one.stage:
            update = {"from_seconds": pending[0].from_seconds, "counts": total(pending), "generator": _generated(pending)}
            found.append(pending[-1].model_copy(update=update))
            pending = []
    return found


def _latency(seconds: float, parts: Sequence[MeasuredWindow]) -> Drawn:
    figure, axes = _axes(seconds)
    for name in NAMES:
        line = [(one.to_seconds, value) for one in parts if (value := _count(one.counts, name).percentile_ms(0.95)) is not None]
        if line:
            axes.plot(*zip(*line, strict=True), label=name, linewidth=1.2)
    axes.set_yscale("log")
    axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.yaxis.set_major_formatter("{x:.0f}")
    axes.yaxis.set_minor_formatter(NullFormatter())
    return figure, axes


def _rates(seconds: float, parts: Sequence[MeasuredWindow], kind: str) -> Drawn:
    figure, axes = _axes(seconds)
    at = [one.to_seconds for one in parts]
    axes.plot(
        at,
        [one.users for one in parts],
        label="users" if kind == "users" else "due a second",
        color=_GREY,
        linewidth=1.2,
    )
    for name in (one for one in QUESTIONS if any(one in part.counts for part in parts)):
        axes.plot(
            at,
            [_count(one.counts, name).requests / one.seconds if one.seconds else 0 for one in parts],
            label=f"{name}, a second",
            linewidth=1.2,
        )
    axes.set_ylim(bottom=0)
    return figure, axes


def _failed(seconds: float, parts: Sequence[MeasuredWindow]) -> Drawn:
    figure, axes = _axes(seconds)
    names = sorted(name for name, count in total(parts).items() if count.failed)
    for name in names:
        axes.plot([one.to_seconds for one in parts],
                  [_count(one.counts, name).failed / one.seconds if one.seconds else 0 for one in parts], label=name, linewidth=1.2)  # fmt: skip
    if not names:
        axes.text(0.5, 0.5, "none", ha="center", va="center", transform=axes.transAxes, color=_GREY)
    axes.set_ylim(bottom=0)
    return figure, axes


def _streams(seconds: float, parts: Sequence[MeasuredWindow]) -> Drawn:
    figure, axes = _axes(seconds)
    at = [one.to_seconds for one in parts]
    axes.plot(at, [one.generator.streams for one in parts], label="open streams", linewidth=1.2)
    axes.plot(
        at,
        [one.generator.tokens / one.seconds if one.seconds else 0 for one in parts],
        label="tokens a second",
        linewidth=1.2,
    )
    axes.set_ylim(bottom=0)
    return figure, axes


def _generator(seconds: float, parts: Sequence[MeasuredWindow]) -> Drawn:
    figure, axes = _axes(seconds)
    at = [one.to_seconds for one in parts]
    axes.plot(at, [one.generator.late_p99_ms or 0 for one in parts], label="late, ms", linewidth=1.2)
    axes.plot(at, [one.generator.cpu_percent for one in parts], label="CPU, %", linewidth=1.2, color=_GREY)
    axes.set_ylim(bottom=0)
    return figure, axes


def _cpu(seconds: float, result: LoadTestResult) -> Drawn:
    figure, axes = _axes(seconds)
    looks = [one for one in result.seen if one.cpu]
    size = max(1, len(looks) // POINTS)
    looks = looks[::size]
    for name in sorted({name for one in looks for name in one.cpu}):
        line = [(after.at - result.began, max(0.0, after.cpu[name] - before.cpu[name]) / (after.at - before.at))
                for before, after in pairwise(looks) if name in before.cpu and name in after.cpu and after.at > before.at]  # fmt: skip
        if line:
            axes.plot(*zip(*line, strict=True), label=name, linewidth=1.2)
    axes.set_ylim(bottom=0)
    return figure, axes


def _generated(parts: Sequence[MeasuredWindow]) -> GeneratorHealth:
    return generator_health(parts).model_copy(update={"streams": parts[-1].generator.streams})


def _weights(seconds: float, result: LoadTestResult) -> Drawn:
    figure, axes = _axes(seconds)
    for color in COLORS:
        line = [(one.at - result.began, one.weights[color]) for one in _changes(result.seen) if color in one.weights]
        axes.step(*zip(*line, strict=True), where="post", label=color, color=COLORS[color], linewidth=1.6)
    axes.set_ylim(-3, 103)
    return figure, axes


def _changes(seen: Sequence[ServiceObservation]) -> Iterator[ServiceObservation]:
    """The observations at which a share had changed, and the first and last one."""
    shown = [one for one in seen if one.weights]
    for number, one in enumerate(shown):
        if number in (0, len(shown) - 1) or one.weights != shown[number - 1].weights:
            yield one


def _count(counts: Mapping[str, Count], name: str) -> Count:
    return counts.get(name) or Count()


def _axes(seconds: float) -> Drawn:
    figure = Figure(figsize=(WIDTH_INCHES, HEIGHT_INCHES))
    axes = figure.add_axes(PLACE)
    axes.set_xlim(0, seconds)
    return figure, axes


def _svg(figure: Figure, axes: Any, across: str = "seconds", legend_at: float = 1.0) -> str:
    axes.set_xlabel(across)
    if axes.get_legend_handles_labels()[0]:
        axes.legend(loc="center left", bbox_to_anchor=(legend_at, 0.5))
    written = io.StringIO()
    figure.savefig(written, format="svg", transparent=True, metadata={"Date": None, "Creator": None})
    text = written.getvalue()
    return text[text.index("<svg") :]  # without the XML declaration, which has no place inside HTML
