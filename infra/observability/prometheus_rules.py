"""The rules of Prometheus from `infra.observability.slos` and `infra.observability.alerts`: `python -m infra.observability.prometheus_rules` writes them as a rule file for who
runs a Prometheus of their own (compose.yaml does)."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import yaml

from infra.observability.alerts import ALERTS, Alert
from infra.observability.slos import WINDOWS, recording_rules

FILE: Final = Path("dashboards/prometheus/rules.yaml")
RULE_SECONDS: Final = 60
# Each evaluation reads three days of samples, so not every minute;
# but within five minutes, after which Prometheus drops a series.
SLOW_RULE_SECONDS: Final = 240
RULE_GROUP: Final = "teal"
_SLOW_WINDOWS: Final = ("3d",)


def rule_groups(alerts: Sequence[Alert]) -> dict[str, Any]:
    """A rule file: the recording rules of the objectives, then every alert that has an expression."""
    fast = tuple(window for window in WINDOWS if window not in _SLOW_WINDOWS)
    return {
        "groups": [
            {"name": f"{RULE_GROUP}-objectives", "interval": f"{RULE_SECONDS}s", "rules": recording_rules(fast)},
            {
                "name": f"{RULE_GROUP}-objectives-slow",
                "interval": f"{SLOW_RULE_SECONDS}s",
                "rules": recording_rules(_SLOW_WINDOWS),
            },
            {
                "name": RULE_GROUP,
                "interval": f"{RULE_SECONDS}s",
                "rules": [
                    {
                        "alert": alert.name,
                        "expr": alert.rule,
                        "for": f"{alert.for_minutes}m",
                        "labels": {"severity": alert.severity},
                        "annotations": {"summary": alert.summary, "runbook": alert.page},
                    }
                    for alert in alerts
                    if alert.expression is not None
                ],
            },
        ]
    }


def rules_yaml(alerts: Sequence[Alert] = ALERTS) -> str:
    """The rule file as YAML."""
    return yaml.safe_dump(rule_groups(alerts), sort_keys=False, width=1_000)


if __name__ == "__main__":
    FILE.write_text(rules_yaml(), encoding="utf-8")
