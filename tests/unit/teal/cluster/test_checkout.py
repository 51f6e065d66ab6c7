from __future__ import annotations

import importlib.util
import os
import sys
from pathlib import Path

import pytest

import teal
from teal import cli
from teal.cluster import checkout
from teal.errors import BAD_INPUT, BadInput


@pytest.fixture(autouse=True)
def _root_on_linux(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setattr(os, "geteuid", lambda: 0)


def test_root_on_linux_in_a_checkout_may_go_on() -> None:
    assert checkout.require_checkout() == Path(teal.__file__).parents[1]


def test_elsewhere_than_on_linux_it_says_where_it_would_run(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "darwin")
    with pytest.raises(BadInput, match="needs Linux") as refused:
        checkout.require_checkout()
    assert "Debian 12" in refused.value.next


@pytest.mark.parametrize("command", ["up", "status", "down"])
def test_without_root_every_command_ends_with_2_and_names_sudo(
    command: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    monkeypatch.setenv("TEAL_CLUSTER_FOLDER", str(tmp_path / "cluster"))
    assert cli.run(["cluster", command]) == BAD_INPUT
    assert "sudo" in capsys.readouterr().err
    assert not (tmp_path / "cluster").exists()


def test_an_installation_that_is_no_checkout_is_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(teal, "__file__", str(tmp_path / "site-packages" / "teal" / "__init__.py"))
    with pytest.raises(BadInput, match="checkout"):
        checkout.require_checkout()


def test_missing_packages_of_python_come_with_the_command_that_brings_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "pytest" else object())
    with pytest.raises(BadInput, match="pytest") as refused:
        checkout.require_checkout()
    assert refused.value.next == "make .venv/.installed-dev"
