"""No adapter loads the driver of another: who runs one engine needs neither the memory nor the faults of the other's library."""

from __future__ import annotations

import subprocess
import sys

import pytest

from app.providers import SEARCH_COPIES, SEARCH_ENGINES

DRIVERS = {"embedded": "sqlite_vec", "elasticsearch": "elasticsearch"}
PACKAGES = {"embedded": "app.search.sqlite", "elasticsearch": "app.search.elasticsearch"}


def loaded(code: str) -> set[str]:
    """The modules of a process that ran this."""
    done = subprocess.run(
        (sys.executable, "-c", f"import sys; {code}; print(*sys.modules)"), capture_output=True, text=True, check=True
    )
    return set(done.stdout.split())


@pytest.mark.parametrize("table", ["SEARCH_ENGINES", "SEARCH_COPIES"])
@pytest.mark.parametrize("name", SEARCH_ENGINES)
def test_a_search_engine_loads_its_own_driver_alone(name: str, table: str) -> None:
    modules = loaded(f"from app.providers import {table}, load_registered; load_registered({table}, {name!r})")
    assert DRIVERS[name] in modules
    for other in SEARCH_ENGINES.keys() - {name}:
        assert not modules & {DRIVERS[other], PACKAGES[other]}


@pytest.mark.parametrize("process", ["app.main", "app.worker"])
def test_a_process_loads_no_driver_before_its_settings_name_one(process: str) -> None:
    assert not loaded(f"import {process}") & {*DRIVERS.values(), *PACKAGES.values()}


def test_every_engine_can_be_copied_into_a_snapshot() -> None:
    assert SEARCH_COPIES.keys() == SEARCH_ENGINES.keys()
