"""The table of alerts in docs/observability.md, written from `infra.observability.alerts`: `python -m infra.observability.alerts_table`."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from infra.observability.alerts import ALERTS, Alert

PAGE: Final = Path("docs/observability.md")
BEGIN: Final = "<!-- alerts: begin (python -m infra.observability.alerts_table) -->\n"
END: Final = "<!-- alerts: end -->\n"


def _for(alert: Alert) -> str:
    return f", {alert.for_minutes} min" if alert.for_minutes else ""


def alerts_table() -> str:
    """One row for each alert."""
    rows = [
        f"| {alert.name} | {alert.severity} | {alert.summary} | {alert.threshold:,g} ({alert.unit}){_for(alert)} | `{alert.runbook}` |\n"
        for alert in ALERTS
    ]
    return "| alert | severity | what it means | when | runbook |\n|---|---|---|---|---|\n" + "".join(rows)


def page_with_table(page: str) -> str:
    """The page with the table in its place."""
    before, _, rest = page.partition(BEGIN)
    _, _, after = rest.partition(END)
    return f"{before}{BEGIN}{alerts_table()}{END}{after}"


if __name__ == "__main__":
    PAGE.write_text(page_with_table(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
