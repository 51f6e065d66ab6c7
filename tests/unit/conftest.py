"""Holds every test of this folder to what a unit test is (tests/unit/ban.py), so that `make unit` answers within a minute."""

from __future__ import annotations

import gc
from collections.abc import Generator
from contextlib import AbstractContextManager, nullcontext

import pytest
import urllib3.util.connection  # noqa: F401 - as it is imported it binds a socket once, to see whether there is IPv6; no test is to be blamed for that

from tests.unit.ban import Ban

BAN = Ban()
# Pulumi's classes and the collected tests are some million objects that live to the end. Looking through them for garbage again and again
# took a fifth of the tests' CPU (measured on 2026-11-29: 26 s instead of 32 s for the platform's tests), so that is done rarely.
gc.set_threshold(100_000, 20, 100)


def pytest_collection_finish() -> None:
    gc.collect()
    gc.freeze()


@pytest.fixture
def unwatched() -> None:
    """For tests of the ban itself, which break one of their own on purpose."""


def held(item: pytest.Item) -> AbstractContextManager[None]:
    return nullcontext() if "unwatched" in getattr(item, "fixturenames", ()) else BAN.on(item.nodeid)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_setup(item: pytest.Item) -> Generator[None, object, object]:
    with held(item):
        return (yield)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None, object, object]:
    with held(item):
        return (yield)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_teardown(item: pytest.Item) -> Generator[None, object, object]:
    with held(item):
        return (yield)
