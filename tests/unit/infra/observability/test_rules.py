"""The file of rules and the arithmetic of burn rates; tests/parts/infra/test_rules.py feeds every rule to promtool."""

from __future__ import annotations

from pathlib import Path

import pytest

from infra.observability import prometheus_rules
from infra.observability.slos import BURNS, SLOS

ROOT = Path(__file__).resolve().parents[4]


def test_the_file_for_other_prometheuses_is_in_step() -> None:
    written = (ROOT / prometheus_rules.FILE).read_text(encoding="utf-8")
    assert written == prometheus_rules.rules_yaml(), "run `.venv/bin/python -m infra.observability.prometheus_rules`"


def test_burn_rates_are_those_of_the_workbook() -> None:
    """Burn rate x window = the share of a 30 days' budget that it says."""
    hours = {"1h": 1, "6h": 6, "3d": 72}
    for burn in BURNS:
        assert burn.rate * hours[burn.long] / (30 * 24) == pytest.approx(burn.budget_percent / 100)
    for slo in SLOS:
        assert slo.burns[0].rate * slo.budget < 1, f"{slo.name}: nothing could ever burn so fast"
