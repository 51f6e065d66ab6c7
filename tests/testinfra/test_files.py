"""Who may read and write what lies on the disk."""

from __future__ import annotations

import shlex

import pytest

from tests.testinfra.place import IMAGE_USER, Place

pytestmark = pytest.mark.integration


def found(place: Place, *arguments: str) -> list[str]:
    """What `find` prints; it says nothing of what it may not enter."""
    return place.host.run(f"find {shlex.join(arguments)} 2>/dev/null").stdout.split("\n")[:-1]


def test_nothing_of_the_stack_is_open_to_other_users(laptop: Place) -> None:
    assert found(laptop, str(laptop.home), "!", "-type", "l", "-perm", "/077") == []


@pytest.mark.parametrize("name", ["keys/admin.key", "keys/redis.password", "keys/probe-blue", "keys/service.json", "conf/Caddyfile",
                                  "conf/redis.conf", "conf/parts/blue-worker.json", "data/catalog.db", "caddy/pki/authorities/local/root.key"])  # fmt: skip
def test_what_is_secret_is_for_its_owner_alone(laptop: Place, name: str) -> None:
    file = laptop.host.file(str(laptop.layout.home / name))
    assert file.is_file
    assert file.mode == 0o600
    assert file.uid == laptop.user


def test_the_folders_are_for_their_owner_alone(laptop: Place) -> None:
    for folder in (laptop.layout.home, laptop.layout.keys, laptop.layout.run, laptop.layout.data, laptop.layout.logs):
        assert laptop.host.file(str(folder)).is_directory
        assert laptop.host.file(str(folder)).mode == 0o700


def test_only_its_owner_commands_the_supervisor(laptop: Place) -> None:
    socket = laptop.host.file(str(laptop.layout.socket))
    assert socket.is_socket
    assert socket.mode == 0o600


def test_no_secret_stands_on_a_command_line(laptop: Place) -> None:
    """Everybody on the machine may read the command line of every process."""
    layout = laptop.layout
    files = (
        layout.admin_key,
        layout.redis_password,
        layout.probe_secret("blue"),
        layout.probe_secret("green"),
        layout.metrics_token,
    )
    secrets = [laptop.host.file(str(file)).content_string.strip() for file in files]
    assert min(map(len, secrets)) > 20
    shown = " ".join(word for process in laptop.processes() for word in process.argv)
    assert not any(secret in shown for secret in secrets)


@pytest.mark.parametrize("folder", ["/data", "/tmp"])
def test_a_container_writes_where_it_must(container: Place, folder: str) -> None:
    assert container.host.run("touch %s && rm %s", f"{folder}/.testinfra", f"{folder}/.testinfra").succeeded


@pytest.mark.parametrize("folder", ["/", "/etc", "/opt/teal", "/models", "/usr", "/var", "/home"])
def test_a_container_writes_nowhere_else(container: Place, folder: str) -> None:
    assert container.host.run("touch %s", f"{folder}/.testinfra").failed


def test_the_code_in_a_container_belongs_to_somebody_else(container: Place) -> None:
    """So that a process that is broken into cannot change what the next one runs."""
    owned = ["/opt/teal", "(", "-uid", str(IMAGE_USER), "-o", "-perm", "/022", ")", "!", "-type", "l"]
    assert found(container, *owned) == []


@pytest.mark.parametrize("command", ["pip", "pip3", "gcc", "curl", "wget", "ssh"])
def test_a_container_has_no_tool_that_brings_more(container: Place, command: str) -> None:
    assert not container.host.exists(command)
