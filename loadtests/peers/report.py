"""The comparison as a table for people. Missed aims are shown as missed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from loadtests.peers import measure
from loadtests.peers.contenders import TEAL
from loadtests.peers.ratios import Aim, Measured, ratio, spread_of

_PEERS: Final = ("Haystack + Hayhooks", "LangServe", "LlamaIndex's server", "bare FastAPI handler")
AIMS: Final = (
    Aim(measure.KNOWN, "cpu_ms", "Haystack + Hayhooks", 15.0),
    Aim(measure.KNOWN, "cpu_ms", "LangServe", 4.0),
    Aim(measure.KNOWN, "cpu_ms", "bare FastAPI handler", 0.8),
    *(Aim(measure.AGAIN, "cpu_ms", peer, 1.0) for peer in _PEERS),
    *(Aim(measure.STREAMED, "first_ms", peer, 1.0) for peer in _PEERS),
)


def peers_summary(repetitions: Sequence[Measured]) -> dict[str, Any]:
    """{scenario: {contender: {measure: spread, measure + "_ratio": spread of the peer's / Teal's}}}."""
    return {
        scenario: {
            name: {key: spread_of([one[scenario][name][key] for one in repetitions]) for key in row}
            | {f"{key}_ratio": ratio(repetitions, scenario, key, name, TEAL) for key in row}
            for name, row in contenders.items()
        }
        for scenario, contenders in repetitions[0].items()
    }


def peers_table(found: Mapping[str, Any], overlaps: Mapping[str, float]) -> str:
    """Scenarios and contenders, one a line; then the aims."""
    lines = ["median (minimum-maximum); times: what the contender takes divided by what Teal takes, within each repetition"]
    for scenario, contenders in found.items():
        lines.append(f"\n{scenario}")
        for name in sorted(contenders, key=lambda name: name != TEAL):
            row = contenders[name]
            cells = (f"{key} {row[key]}, {row[f'{key}_ratio']} times" for key in row if not key.endswith("_ratio"))
            shared = f"; shares {overlaps[name]:.1%} of ids" if name in overlaps and scenario == measure.KNOWN else ""
            lines.append(f"  {name:32}{'; '.join(cells)}{shared}")
    return "\n".join([*lines, "", *verdicts(found)])


def verdicts(found: Mapping[str, Any]) -> list[str]:
    """A line for each aim, with the result and whether it was reached."""
    lines = []
    for aim in AIMS:
        times = found[aim.scenario][aim.peer][f"{aim.measure}_ratio"]
        lines.append(f"{aim.verdict(times):8}{aim.scenario}, {aim.measure}: {aim.peer} / Teal {times}, aim {aim.least:g}")
    return lines
