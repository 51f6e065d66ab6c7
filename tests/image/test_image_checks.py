"""The checks of `.ci/image` say no when they must. The image itself is built and run by `.ci/image`, as root."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import pytest

from tests.image.bundle import runtime_config
from tests.image.promises import broken_promises
from tests.image.registries import CA, pip_conf

_CLOSED = {"security_opt": ["no-new-privileges:true"]}
_OURS = {
    "read_only": True,
    "user": "10001:10001",
    "cap_drop": ["ALL"],
    **_CLOSED,
    "networks": {"inner": None, "outer": None},
}
_STORE = {**_CLOSED, "healthcheck": {"test": ["CMD", "true"]}, "networks": {"inner": None}}
_GOOD: dict[str, Any] = {
    "services": {
        "caddy": {**_CLOSED, "ports": [{"target": 8443, "host_ip": "127.0.0.1"}]},
        **{name: dict(_OURS) for name in ("app-1", "app-2", "worker", "migrate")},
        **{name: dict(_STORE) for name in ("postgres", "redis", "elasticsearch")},
    },
    "networks": {"inner": {"internal": True}, "outer": {}},
}


def test_a_project_that_keeps_its_promises_has_no_complaint() -> None:
    assert broken_promises(_GOOD) == []


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        (lambda p: p["services"]["redis"].update(ports=[{"target": 6379, "host_ip": "127.0.0.1"}]), "redis publishes ports"),
        (lambda p: p["services"]["caddy"]["ports"][0].pop("host_ip"), "beyond loopback"),
        (lambda p: p["services"]["worker"].update(read_only=False), "worker has a writable root"),
        (lambda p: p["services"]["migrate"].update(user="0:0"), "migrate does not run as 10001:10001"),
        (lambda p: p["services"]["app-2"].pop("security_opt"), "app-2 may gain privileges"),
        (lambda p: p["services"]["redis"].pop("security_opt"), "redis may gain privileges"),
        (lambda p: p["services"]["app-1"].update(healthcheck={"disable": True}), "app-1 has no health check"),
        (lambda p: p["services"]["postgres"].pop("healthcheck"), "postgres has no health check"),
        (lambda p: p["services"]["elasticsearch"].update(networks={"outer": None}), "elasticsearch is on a network"),
        (lambda p: p["networks"]["inner"].pop("internal"), "the inner network reaches outside"),
    ],
)
def test_each_broken_promise_of_compose_is_named(change: Callable[[dict[str, Any]], object], complaint: str) -> None:
    project = copy.deepcopy(_GOOD)
    change(project)
    assert any(complaint in sentence for sentence in broken_promises(project))


def test_pip_in_the_build_uses_this_machines_registry_but_none_of_its_paths() -> None:
    conf = pip_conf(
        ["[global]\nindex-url = https://one.invalid/simple\ncert = /etc/mine.pem\n", "[install]\ntrusted_host = one.invalid\n"],
        {"PIP_INDEX_URL": "https://two.invalid/simple", "PIP_FIND_LINKS": "/opt/mine", "HOME": "/root"},
    )
    assert "index-url = https://two.invalid/simple" in conf
    assert "trusted-host = one.invalid" in conf
    assert f"cert = {CA}" in conf
    assert "mine" not in conf
    assert "one.invalid/simple" not in conf


def test_the_image_runs_as_its_own_user_on_a_read_only_root() -> None:
    image = {"User": "10001:10001", "Env": ["A=b"], "Cmd": ["serve"], "WorkingDir": "/data"}
    config = runtime_config(image, "/root-of-it", "/data-of-it", [])
    assert config["process"]["user"] == {"uid": 10001, "gid": 10001}
    assert config["process"]["args"] == ["serve"]
    assert config["root"] == {"path": "/root-of-it", "readonly": True}
    assert {m["destination"] for m in config["mounts"] if "rw" in m.get("options", []) or m["destination"] == "/tmp"} == {
        "/data",
        "/tmp",
    }


@pytest.mark.parametrize("user", ["", "root", "teal:teal"])
def test_an_image_without_a_numeric_user_is_refused(user: str) -> None:
    with pytest.raises(ValueError, match="numeric"):
        runtime_config({"User": user}, "/r", "/d", [])
