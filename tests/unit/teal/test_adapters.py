"""Adapters are registered once, and whoever names one that is not there is told which there are."""

from __future__ import annotations

from dataclasses import asdict

import pytest

from teal.adapters import ADAPTERS, AWS, LAPTOP, adapter
from teal.errors import BadInput


@pytest.mark.parametrize(("port", "name"), [(port, name) for port in ADAPTERS for name in ADAPTERS[port]])
def test_every_registered_adapter_is_there(port, name) -> None:  # type: ignore[no-untyped-def]
    assert callable(adapter(port, name))


@pytest.mark.parametrize("place", [LAPTOP, AWS])
def test_a_place_names_adapters_that_are_registered(place) -> None:  # type: ignore[no-untyped-def]
    assert all(name in ADAPTERS[port] for port, name in asdict(place).items())  # type: ignore[index]


def test_a_wrong_name_lists_the_right_ones() -> None:
    with pytest.raises(BadInput, match="'nginx'; there are caddy, alb"):
        adapter("traffic", "nginx")
